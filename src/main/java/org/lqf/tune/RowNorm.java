package org.lqf.tune;

import java.io.IOException;
import java.util.SplittableRandom;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.ImageDataset;

/**
 * The mean squared norm of a row of J, trace(JJᵀ)/(N·C): the scale of the problem, which the
 * default ridge is a part of.
 *
 * <p>Hutchinson's estimate: for signs u drawn at random, E‖Jᵢᵀu‖² is the trace of JᵢJᵢᵀ. The signs
 * are always the same ones, so the scale depends on network and images alone.
 */
public final class RowNorm {

  private static final int IMAGES = 64;
  private static final int PROBES = 4; // per image

  private RowNorm() {}

  /** Over at most {@value #IMAGES} images, evenly spread over the data. */
  public static double meanSquare(Engine engine, Plan plan, ImageDataset images)
      throws IOException {
    SplittableRandom random = new SplittableRandom(7);
    int classes = plan.classes();
    int count = Math.min(IMAGES, images.size());
    float[] image = new float[images.floats()];
    float[] signs = new float[classes];
    double sum = 0;
    try (DeviceVector cotangent = engine.vector(classes);
        DeviceVector gradient = engine.vector(plan.parameters())) {
      for (int i = 0; i < count; i++) {
        images.read((int) ((long) i * images.size() / count), image, 0);
        plan.forward(image, 1);
        for (int probe = 0; probe < PROBES; probe++) {
          for (int c = 0; c < classes; c++) {
            signs[c] = random.nextBoolean() ? 1 : -1;
          }
          gradient.fill(0);
          plan.vjp(cotangent.write(signs), gradient);
          sum += gradient.dot(gradient);
        }
      }
    }
    return sum / ((double) count * PROBES * classes);
  }
}
