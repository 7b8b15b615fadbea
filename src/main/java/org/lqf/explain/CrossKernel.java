package org.lqf.explain;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Plan;
import org.lqf.solve.CrossGram;
import org.lqf.solve.Samples;

/**
 * k(x, X) = J(x)·J(X)ᵀ, the tangent kernel of some images with the training images.
 *
 * <p>Two ways: for each row of J(x) a jvp over the training images, which holds one row; or the
 * rows of J of both sides and their products, see {@link CrossGram}, which are much cheaper than
 * jvps as soon as there is more than one x.
 */
public final class CrossKernel {

  /** Takes k(x, X) of some images. */
  @FunctionalInterface
  public interface Visitor {
    /**
     * Takes the next images.
     *
     * @param first index of the first of them
     * @param n how many
     * @param cross [n·C, N·C], the visitor's
     * @param own k(x, x) of each of them, [n, C, C], the visitor's
     */
    void visit(int first, int n, double[] cross, double[] own);
  }

  private CrossKernel() {}

  /**
   * Of one image.
   *
   * @param image [channels, height, width]
   * @return [C, N·C]
   */
  public static double[] of(FittedModel fitted, float[] image) throws IOException {
    Plan plan = fitted.plan();
    int classes = fitted.classes();
    int side = fitted.images() * classes;
    double[] cross = new double[Math.multiplyExact(classes, side)];
    int length = Math.toIntExact(plan.parameters());
    float[] row = new float[length];
    try (DeviceVector rows = fitted.engine().vector((long) classes * length);
        DeviceVector direction = fitted.engine().vector(length);
        DeviceVector out = fitted.engine().vector((long) plan.maxBatch() * classes)) {
      plan.forward(image, 1);
      plan.jacobian(rows);
      float[] values = new float[plan.maxBatch() * classes];
      int[] at = new int[1];
      fitted
          .samples()
          .forEach(
              Samples.IN_ORDER,
              (images, n, targets) -> {
                plan.forward(images, n);
                for (int c = 0; c < classes; c++) {
                  rows.read((long) c * length, row);
                  plan.jvp(direction.write(row), out);
                  out.read(values);
                  for (int i = 0; i < n * classes; i++) {
                    cross[c * side + at[0] + i] = values[i];
                  }
                }
                at[0] += n * classes;
              });
    }
    return cross;
  }

  /**
   * Of several images, some at a time.
   *
   * @param images of any origin; their targets are not looked at
   */
  public static void forEach(FittedModel fitted, Samples images, Visitor visitor)
      throws IOException {
    CrossGram kernel = new CrossGram(fitted.engine(), fitted.plan(), fitted.samples());
    int[] first = new int[1];
    try {
      images.forEach(
          Samples.IN_ORDER,
          (batch, n, targets) -> {
            int size = batch.length / n;
            for (int from = 0; from < n; from += kernel.images()) {
              int count = Math.min(kernel.images(), n - from);
              float[] some = Arrays.copyOfRange(batch, from * size, (from + count) * size);
              double[] own = new double[count * fitted.classes() * fitted.classes()];
              visitor.visit(first[0], count, unchecked(kernel, some, count, own), own);
              first[0] += count;
            }
          });
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private static double[] unchecked(CrossGram kernel, float[] images, int n, double[] own) {
    try {
      return kernel.of(images, n, own);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // a visitor cannot throw it
    }
  }
}
