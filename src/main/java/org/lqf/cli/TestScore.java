package org.lqf.cli;

import java.io.IOException;
import java.util.List;
import java.util.Set;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.Batch;
import org.lqf.image.Batches;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.Classifier;
import org.lqf.predict.ConfusionMatrix;
import org.lqf.predict.Evaluation;
import org.lqf.tune.TrainingImages;

/** How a model did on test images, image by image. */
final class TestScore {

  private static final int BATCH = 32;

  private final int[] labels; // [images]
  private final int[] given; // [images]
  private final ConfusionMatrix confusions;

  /**
   * @param labels class of each image, an index of classes
   * @param given class that each image was given
   */
  TestScore(List<String> classes, int[] labels, int[] given) {
    this.labels = labels.clone();
    this.given = given.clone();
    int[][] counts = new int[classes.size()][classes.size()];
    for (int i = 0; i < labels.length; i++) {
      counts[labels[i]][given[i]]++;
    }
    this.confusions = new ConfusionMatrix(classes, counts);
  }

  static TestScore of(
      Engine engine,
      Backbone backbone,
      LinearisedModel model,
      ImageFolder images,
      Evaluation.Progress progress)
      throws IOException {
    try (Classifier classifier = Classifier.open(engine, backbone, model, BATCH)) {
      int[] given = Evaluation.predict(classifier, images, progress);
      return new TestScore(model.labels(), images.labels(), given);
    }
  }

  /** Of a network by itself, its outputs being the classes of the images. */
  static TestScore of(
      Engine engine,
      Backbone network,
      ImageFolder images,
      int readers,
      Evaluation.Progress progress)
      throws IOException {
    int[] given = classify(engine, network, images, readers, progress);
    return new TestScore(images.classes(), images.labels(), given);
  }

  /**
   * The number of a network's largest output, for each image.
   *
   * @return [images.size()]
   */
  static int[] classify(
      Engine engine,
      Backbone network,
      ImageFolder images,
      int readers,
      Evaluation.Progress progress)
      throws IOException {
    ImageDataset prepared = TrainingImages.prepare(images, network.input(), readers);
    int classes = network.outputShape().size();
    int[] given = new int[images.size()];
    float[] outputs = new float[BATCH * classes];
    try (Plan plan = engine.compile(network, Set.of(), BATCH);
        DeviceVector out = engine.vector(outputs.length);
        Batches batches = prepared.batches(BATCH, readers)) {
      int done = 0;
      while (batches.hasNext()) {
        Batch next = batches.next();
        plan.forward(next.images(), next.n());
        plan.outputs(out);
        out.read(outputs);
        for (int i = 0; i < next.n(); i++) {
          int row = i * classes;
          for (int c = 0; c < classes; c++) {
            given[done] = outputs[row + c] > outputs[row + given[done]] ? c : given[done];
          }
          done++;
        }
        progress.report(done, given.length);
      }
    }
    return given;
  }

  ConfusionMatrix confusions() {
    return confusions;
  }

  int images() {
    return labels.length;
  }

  double accuracy() {
    return confusions.accuracy();
  }

  /** Images that another model gave another class. */
  int differentFrom(TestScore other) {
    int different = 0;
    for (int i = 0; i < labels.length; i++) {
      different += given[i] == other.given[i] ? 0 : 1;
    }
    return different;
  }

  /** Of the accuracy, as for another sample of as many images. */
  double standardError() {
    return Math.sqrt(accuracy() * (1 - accuracy()) / images());
  }

  /**
   * How much better one model is than another on the same images.
   *
   * @param value difference of the accuracies, in [-1, 1]
   * @param standardError of the difference, paired: images that both get right or wrong do not
   *     count
   */
  record Gain(double value, double standardError) {}

  Gain over(TestScore other) {
    int better = 0;
    int worse = 0;
    for (int i = 0; i < labels.length; i++) {
      boolean right = given[i] == labels[i];
      boolean otherRight = other.given[i] == labels[i];
      better += right && !otherRight ? 1 : 0;
      worse += otherRight && !right ? 1 : 0;
    }
    double n = labels.length;
    double mean = (better - worse) / n;
    return new Gain(mean, Math.sqrt(((better + worse) / n - mean * mean) / n));
  }
}
