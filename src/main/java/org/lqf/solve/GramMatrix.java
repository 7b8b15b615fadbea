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

  private static final long TILE_BYTES = 1L << 30; // of the rows of one tile
  private static final int MAX_SIDE = 46_340; // beyond, K has more entries than an array can hold
  private static final double MEMORY_SHARE = 0.5; // of the free memory, at most

  /** Images [n, channels, height, width] whose rows of J are held together. */
  private record Tile(float[] images, int n) {}

  private GramMatrix() {}

  /** Whether K has a side that can be had. */
  public static boolean possible(long images, int classes) {
    return images * classes <= MAX_SIDE;
  }

  /** Side of K, or an exception that says why it cannot be had. */
  public static int side(long images, int classes) {
    if (!possible(images, classes)) {
      throw new IllegalArgumentException(
          "%d images of %d classes need a Gram matrix of side %d; the largest is %d, use cg"
              .formatted(images, classes, images * classes, MAX_SIDE));
    }
    return (int) (images * classes);
  }

  /** Bytes that {@link #of} and a factorisation in place hold at most. */
  public static long bytes(long images, int classes, long parameters) {
    return bytes(images, classes, parameters, Integer.MAX_VALUE);
  }

  /** The same where a plan takes so many images at most. */
  public static long bytes(long images, int classes, long parameters, int batch) {
    long side = images * classes;
    long tile = Math.min(images, tile(classes, parameters, batch));
    return 8 * side * side + 2 * 4L * tile * classes * parameters;
  }

  /** Whether K and a factorisation in place fit into half of so many bytes. */
  public static boolean fits(long images, int classes, long parameters, long freeBytes) {
    return possible(images, classes)
        && bytes(images, classes, parameters) <= MEMORY_SHARE * freeBytes;
  }

  /**
   * Multiply-adds of {@link #of} and a factorisation, in units of those of a convolution: products
   * of long rows run at about half the speed.
   *
   * @param batch the most images that the plan takes
   * @param macs of one forward pass of one image
   */
  public static double work(int classes, long parameters, int batch, long images, double macs) {
    double side = (double) images * classes;
    double tile = tile(classes, parameters, batch);
    double passes = Math.max(1, images / (2 * tile)); // how often each row is computed
    return side * side * parameters
        + side * side * side / 3
        + passes * images * (1 + 2.0 * classes) * macs;
  }

  /** Images of a tile. */
  private static int tile(int classes, long parameters, int batch) {
    long fit = TILE_BYTES / (4L * classes * parameters);
    return (int) Math.max(1, Math.min(batch, fit));
  }

  /**
   * Computes K.
   *
   * @return owned by the caller; row i·C + c belongs to class c of image i in order
   */
  public static SymmetricMatrix of(Engine engine, Plan plan, Samples samples, Progress progress)
      throws IOException {
    int classes = plan.classes();
    int tile = tile(classes, plan.parameters(), plan.maxBatch());
    List<Tile> tiles = new ArrayList<>();
    samples.forEach(
        Samples.IN_ORDER,
        (images, n, targets) -> {
          int size = images.length / n;
          for (int i = 0; i < n; i += tile) {
            int end = Math.min(n, i + tile);
            tiles.add(new Tile(Arrays.copyOfRange(images, i * size, end * size), end - i));
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
        int rows = jacobian(plan, tiles.get(i), left) * classes;
        matrix.gram(row, left, rows, row, left, rows, plan.parameters());
        int column = row + rows;
        report(progress, ++done, pairs);
        for (int j = i + 1; j < tiles.size(); j++) {
          int columns = jacobian(plan, tiles.get(j), right) * classes;
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

  private static int jacobian(Plan plan, Tile tile, DeviceVector rows) {
    plan.forward(tile.images, tile.n);
    plan.jacobian(rows);
    return tile.n;
  }

  private static void report(Progress progress, int done, int pairs) {
    progress.report(new Progress.Step(done, done / (double) pairs, Double.NaN, Double.NaN));
  }
}
