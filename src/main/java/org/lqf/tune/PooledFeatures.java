package org.lqf.tune;

import java.io.IOException;
import java.util.Arrays;
import java.util.Set;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.ImageDataset;
import org.lqf.model.Backbone;
import org.lqf.solve.Samples;

/** A network's last activation before its head, averaged over the pixels. */
public final class PooledFeatures {

  private PooledFeatures() {}

  /**
   * Of all images, in their order.
   *
   * @param backbone at the input size of the images; its own head does not matter
   * @param samples in batches of at most {@code batch} images; their targets are not looked at
   * @return [images, width], width the channels of the feature node
   */
  public static double[] of(Engine engine, Backbone backbone, Samples samples, int batch)
      throws IOException {
    Backbone cut = backbone.cutAtFeatures();
    int width = cut.outputShape().channels();
    double[] features = new double[Math.multiplyExact(samples.size(), width)];
    int[] at = new int[1];
    try (Plan plan = engine.compile(cut, Set.of(), batch);
        DeviceVector out = engine.vector((long) batch * width)) {
      float[] values = new float[batch * width];
      samples.forEach(
          Samples.IN_ORDER,
          (images, n, targets) -> {
            plan.forward(images, n);
            plan.outputs(out);
            out.read(values);
            for (int i = 0; i < n * width; i++) {
              features[at[0]++] = values[i];
            }
          });
    }
    return features;
  }

  /**
   * The same of prepared images.
   *
   * @param readers threads that decode images
   * @param listener hears of the images
   */
  public static double[] of(
      Engine engine,
      Backbone backbone,
      ImageDataset images,
      int batch,
      int readers,
      TrainingListener listener)
      throws IOException {
    int classes = 1 + Arrays.stream(images.labels()).max().orElse(0);
    LqfConfig config = LqfConfig.defaults().withReaders(readers);
    return of(
        engine, backbone, new TrainingImages(images, classes, 1, batch, config, listener), batch);
  }
}
