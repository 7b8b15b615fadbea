package org.lqf.solve;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.SymmetricMatrix;

/**
 * K = JJᵀ [N·C, N·C], the tangent kernel of the images with themselves, tile by tile: the rows of
 * two tiles of images are held at a time, and computed anew for every pair of tiles.
 */
public final class GramMatrix {

  private static final long TILE_BYTES = 1L << 29; // of the rows of one tile

  private GramMatrix() {}

  /** Side of K, or an exception that says why it cannot be had. */
  public static int side(long images, int classes) {
    if (images * classes > 46_340) { // beyond, K has more entries than an array can hold
      throw new IllegalArgumentException(
          "%d images of %d classes need a Gram matrix of side %d; the largest is 46340, use cg"
              .formatted(images, classes, images * classes));
    }
    return (int) (images * classes);
  }

  /** Bytes that {@link #of} and a factorisation in place hold at most. */
  public static long bytes(long images, int classes, long parameters) {
    double side = (double) images * classes;
    return (long) (8 * side * side) + 2 * Math.max(TILE_BYTES, 4L * classes * parameters);
  }

  /**
   * Computes K.
   *
   * @return owned by the caller; row i·C + c belongs to class c of image i in order
   */
  public static SymmetricMatrix of(Engine engine, Plan plan, Samples samples, Progress progress)
      throws IOException {
    int classes = plan.classes();
    int tile =
        (int)
            Math.max(1, Math.min(plan.maxBatch(), TILE_BYTES / (4L * classes * plan.parameters())));
    List<float[]> tiles = new ArrayList<>(); // each [≤ tile, channels, height, width]
    int size = plan.backbone().input().shape().size();
    samples.forEach(
        Samples.IN_ORDER,
        (images, n, targets) -> {
          for (int i = 0; i < n; i += tile) {
            tiles.add(Arrays.copyOfRange(images, i * size, Math.min(n, i + tile) * size));
          }
        });
    SymmetricMatrix matrix = engine.matrix(side(samples.size(), classes));
    long length = (long) tile * classes * plan.parameters();
    try (DeviceVector left = engine.vector(length);
        DeviceVector right = engine.vector(length)) {
      int done = 0;
      int pairs = tiles.size() * (tiles.size() + 1) / 2;
      int row = 0;
      for (int i = 0; i < tiles.size(); i++) {
        int rows = jacobian(plan, tiles.get(i), size, left) * classes;
        matrix.gram(row, left, rows, row, left, rows, plan.parameters());
        int column = row + rows;
        report(progress, ++done, pairs);
        for (int j = i + 1; j < tiles.size(); j++) {
          int columns = jacobian(plan, tiles.get(j), size, right) * classes;
          matrix.gram(row, left, rows, column, right, columns, plan.parameters());
          column += columns;
          report(progress, ++done, pairs);
        }
        row += rows;
      }
      return matrix;
    } catch (RuntimeException e) {
      matrix.close();
      throw e;
    }
  }

  private static int jacobian(Plan plan, float[] images, int size, DeviceVector rows) {
    int n = images.length / size;
    plan.forward(images, n);
    plan.jacobian(rows);
    return n;
  }

  private static void report(Progress progress, int done, int pairs) {
    progress.report(new Progress.Step(done, done / (double) pairs, Double.NaN, Double.NaN));
  }
}
