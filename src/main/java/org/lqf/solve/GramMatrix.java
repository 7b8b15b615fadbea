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
 * two tiles of images are held, and those of every later tile are computed anew to meet them.
 */
public final class GramMatrix {

  private static final long ROWS_BYTES = 2L << 30; // of all rows of J that are in memory
  private static final int HELD = 2; // tiles whose rows stay while those of the later ones pass
  private static final int MAX_SIDE = 46_340; // beyond, K has more entries than an array can hold
  private static final double MEMORY_SHARE = 0.5; // of the free memory, at most

  /** Images [n, channels, height, width] whose rows of J are computed together. */
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
    long held = Math.min(images, (HELD + 1L) * tile(classes, parameters, batch));
    return 8 * side * side + 4 * held * classes * parameters;
  }

  /** Whether K and a factorisation in place fit into half of so many bytes. */
  public static boolean fits(long images, int classes, long parameters, long freeBytes) {
    return possible(images, classes)
        && bytes(images, classes, parameters) <= MEMORY_SHARE * freeBytes;
  }

  /**
   * Multiply-adds of {@link #of} and a factorisation, in units of those of a convolution.
   *
   * @param batch the most images that the plan takes
   * @param macs of one forward pass of one image
   */
  public static double work(int classes, long parameters, int batch, long images, double macs) {
    double side = (double) images * classes;
    double held = HELD * tile(classes, parameters, batch);
    double passes = 1 + Math.max(0, images / held - 1) / 2; // how often each row is computed
    return side * side / 2 * parameters
        + side * side * side / 3
        + passes * images * (1 + 2.0 * classes) * macs;
  }

  /** Images of a tile. */
  private static int tile(int classes, long parameters, int batch) {
    long fit = ROWS_BYTES / ((HELD + 1) * 4L * classes * parameters);
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
    List<DeviceVector> rows = new ArrayList<>(); // of the held tiles, then of one that passes
    try {
      long length = (long) tile * classes * plan.parameters();
      for (int i = 0; i < Math.min(HELD + 1, tiles.size()); i++) {
        rows.add(engine.vector(length));
      }
      int[] at = new int[tiles.size() + 1]; // where the rows of a tile begin
      for (int i = 0; i < tiles.size(); i++) {
        at[i + 1] = at[i] + tiles.get(i).n * classes;
      }
      int done = 0;
      int pairs = tiles.size() * (tiles.size() + 1) / 2;
      for (int first = 0; first < tiles.size(); first += HELD) {
        for (int j = first; j < tiles.size(); j++) {
          DeviceVector right = rows.get(Math.min(j - first, HELD));
          jacobian(plan, tiles.get(j), right);
          for (int i = first; i <= Math.min(j, first + HELD - 1); i++) {
            DeviceVector left = rows.get(i - first);
            matrix.gram(
                at[i], left, at[i + 1] - at[i], at[j], right, at[j + 1] - at[j], plan.parameters());
            report(progress, ++done, pairs);
          }
        }
      }
      return matrix;
    } catch (RuntimeException e) {
      matrix.close();
      throw e;
    } finally {
      rows.forEach(DeviceVector::close);
    }
  }

  private static void jacobian(Plan plan, Tile tile, DeviceVector rows) {
    plan.forward(tile.images, tile.n);
    plan.jacobian(rows);
  }

  private static void report(Progress progress, int done, int pairs) {
    progress.report(new Progress.Step(done, done / (double) pairs, Double.NaN, Double.NaN));
  }
}
