package org.lqf.cli;

import java.io.IOException;
import java.util.List;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.Classifier;
import org.lqf.predict.ConfusionMatrix;
import org.lqf.predict.Evaluation;

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
