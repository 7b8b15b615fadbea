package org.lqf.pretrain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.Batch;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.TrainableNetwork;
import org.lqf.solve.Checkpoint;
import org.lqf.tune.PooledFeatures;
import org.lqf.tune.TrainingImages;
import org.lqf.tune.TrainingListener;

/**
 * Makes a leaky network of a ReLU network, which LQF wants (its tangents do not die) and hardly
 * anybody publishes.
 *
 * <p>Distillation (Hinton et al. 2015), on features as in Romero et al. 2015: the leaky network
 * starts from the ReLU network's weights and learns to give the same pooled features, image by
 * image. No labels are needed. The head stays as it was: it reads the same features.
 */
public final class Adaptation {

  private Adaptation() {}

  /**
   * Adapts.
   *
   * @param engine stays the caller's
   * @param relu with ReLU somewhere; leaky activations stay as they are
   * @param slope of the new leaky ReLUs, &gt; 0
   * @param images of any classes; labels are not looked at
   * @param checkpoint as in {@link Pretraining#train}
   * @return the whole network; the losses of its trace are {@link #featureError} on augmented
   *     images and in training mode
   * @throws IllegalArgumentException if there is no ReLU
   * @throws IOException if an image cannot be read, or a checkpoint belongs to another training
   */
  public static WeightSgd.Trained adapt(
      Engine engine,
      TrainableNetwork relu,
      float slope,
      ImageFolder images,
      SgdConfig config,
      TrainingListener listener,
      @Nullable Path checkpoint)
      throws IOException {
    TrainableNetwork start = relu.withSlope(slope);
    listener.phase("reading images");
    ImageDataset prepared = TrainingImages.prepare(images, relu.graph().input(), config.readers());
    listener.phase("features of the ReLU network");
    Backbone teacher = relu.folded();
    double variance =
        variance(
            PooledFeatures.of(
                engine, teacher, prepared, config.batch(), config.readers(), listener),
            prepared.size());
    Checkpoint file =
        Pretraining.open(checkpoint, start, images, config, teacher.digest(), listener);
    listener.phase("training");
    try (Targets targets = new Targets(engine, teacher, variance, config.batch())) {
      WeightSgd.Trained trained =
          WeightSgd.train(engine, start.cutAtFeatures(), prepared, targets, config, listener, file);
      return new WeightSgd.Trained(
          start.with(trained.network()), trained.trace(), trained.steps(), trained.seconds());
    }
  }

  /**
   * Σᵢ ‖sᵢ − tᵢ‖² / Σᵢ ‖tᵢ − mean t‖²: 0 where all features are the same, 1 where they are as far
   * off as a constant.
   *
   * @param features s, [images, width]
   * @param targets t, [images, width]
   */
  public static double featureError(double[] features, double[] targets, int images) {
    double squares = 0;
    for (int i = 0; i < targets.length; i++) {
      squares += (features[i] - targets[i]) * (features[i] - targets[i]);
    }
    return squares / images / variance(targets, images);
  }

  /** Mean squared distance from the mean of the rows of features [images, width]. */
  private static double variance(double[] features, int images) {
    int width = features.length / images;
    double sum = 0;
    for (int j = 0; j < width; j++) {
      double mean = 0;
      for (int i = 0; i < images; i++) {
        mean += features[i * width + j] / images;
      }
      for (int i = 0; i < images; i++) {
        double off = features[i * width + j] - mean;
        sum += off * off / images;
      }
    }
    if (!(sum > 0)) {
      throw new IllegalArgumentException(
          "all images have the same features; give images that differ");
    }
    return sum;
  }

  /** ‖s − t‖² / variance, t the teacher's features of the very batch, shifted and flipped alike. */
  private record Targets(Plan plan, DeviceVector out, double variance, float[] targets)
      implements Objective, AutoCloseable {

    Targets(Engine engine, Backbone teacher, double variance, int batch) {
      this(engine.compile(teacher.cutAtFeatures(), Set.of(), batch), engine, variance);
    }

    private Targets(Plan plan, Engine engine, double variance) {
      this(
          plan,
          engine.vector((long) plan.maxBatch() * plan.classes()),
          variance,
          new float[plan.maxBatch() * plan.classes()]);
    }

    @Override
    public double cotangent(Batch batch, float[] outputs, float[] cotangent) {
      plan.forward(batch.images(), batch.n());
      plan.outputs(out);
      out.read(targets);
      double squares = 0;
      for (int i = 0; i < batch.n() * plan.classes(); i++) {
        double off = outputs[i] - targets[i];
        squares += off * off / variance;
        cotangent[i] = (float) (2 * off / (variance * batch.n()));
      }
      return squares;
    }

    @Override
    public void close() {
      out.close();
      plan.close();
    }
  }
}
