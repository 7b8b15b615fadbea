package org.lqf.explain;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Plan;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.solve.Samples;

/**
 * k(x, X) = J(x)·J(X)ᵀ, the tangent kernel of some images with the training images.
 *
 * <p>Two ways, the cheaper one is taken: for each row of J(x) a jvp over the training images, which
 * holds one row; or the rows of J of a few images of both sides and their products, which are much
 * cheaper than jvps as soon as there is more than one x.
 */
public final class CrossKernel {

  private static final long TILE_BYTES = 1L << 28; // of the rows of one side

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
    Tiles tiles = new Tiles(fitted);
    int[] first = new int[1];
    try {
      visitAll(tiles, fitted, images, visitor, first);
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private static void visitAll(
      Tiles tiles, FittedModel fitted, Samples images, Visitor visitor, int[] first)
      throws IOException {
    images.forEach(
        Samples.IN_ORDER,
        (batch, n, targets) -> {
          int size = batch.length / n;
          for (int from = 0; from < n; from += tiles.images) {
            int count = Math.min(tiles.images, n - from);
            float[] tile = Arrays.copyOfRange(batch, from * size, (from + count) * size);
            double[] own = new double[count * fitted.classes() * fitted.classes()];
            double[] cross = tiles.cross(tile, count, own);
            visitor.visit(first[0], count, cross, own);
            first[0] += count;
          }
        });
  }

  /** Rows of J of two tiles of images, one of either side. */
  private static final class Tiles {
    private final FittedModel fitted;
    private final int classes;
    private final long length; // parameters
    private final int images; // of one tile

    Tiles(FittedModel fitted) {
      this.fitted = fitted;
      this.classes = fitted.classes();
      this.length = fitted.plan().parameters();
      long most = TILE_BYTES / (4L * classes * length);
      this.images = (int) Math.max(1, Math.min(fitted.plan().maxBatch(), most));
    }

    /**
     * k of a tile with all training images, and own: the diagonal blocks of the tile itself. An
     * exception of the samples is wrapped, since a visitor cannot throw it.
     */
    double[] cross(float[] tile, int n, double[] own) {
      Plan plan = fitted.plan();
      int side = fitted.images() * classes;
      double[] cross = new double[Math.multiplyExact(n * classes, side)];
      try (DeviceVector left = fitted.engine().vector((long) n * classes * length);
          DeviceVector right = fitted.engine().vector((long) images * classes * length);
          SymmetricMatrix scratch = fitted.engine().matrix((n + images) * classes)) {
        plan.forward(tile, n);
        plan.jacobian(left);
        scratch.gram(0, left, n * classes, 0, left, n * classes, length);
        for (int i = 0; i < n; i++) {
          double[] block = scratch.read(i * classes, i * classes, classes, classes);
          System.arraycopy(block, 0, own, i * classes * classes, block.length);
        }
        int[] at = new int[1];
        fitted
            .samples()
            .forEach(
                Samples.IN_ORDER,
                (batch, count, targets) -> {
                  int size = batch.length / count;
                  for (int from = 0; from < count; from += images) {
                    int some = Math.min(images, count - from);
                    plan.forward(
                        Arrays.copyOfRange(batch, from * size, (from + some) * size), some);
                    plan.jacobian(right);
                    int columns = some * classes;
                    scratch.gram(0, left, n * classes, n * classes, right, columns, length);
                    double[] block = scratch.read(0, n * classes, n * classes, columns);
                    for (int i = 0; i < n * classes; i++) {
                      System.arraycopy(block, i * columns, cross, i * side + at[0], columns);
                    }
                    at[0] += columns;
                  }
                });
        return cross;
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
