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
 * J(x)·J(X)ᵀ of some images x with many images X, summed over parts of the parameters, with a class
 * less where that does, like {@link GramMatrix}.
 *
 * <p>The rows of x by a part are held while those of X pass: X is walked through once for as many x
 * as there is room for. No entry depends on how many these are.
 */
public final class CrossGram {

  private static final int USUAL = 64; // images x; parts are so large that there is room for them
  private static final long HELD_BYTES = 1L << 29; // of rows of J(x)
  private static final long PASSING_BYTES = 1L << 28; // of rows of J(X)
  private static final long RESULT_BYTES = 1L << 27;

  private final Engine engine;
  private final Plan plan;
  private final Samples many;
  private final List<GramMatrix.Part> parts;
  private final int images;

  /**
   * @param plan for both
   * @param many X; their targets are not looked at
   */
  public CrossGram(Engine engine, Plan plan, Samples many) {
    this.engine = engine;
    this.plan = plan;
    this.many = many;
    long rows = 4L * plan.classes(); // bytes, of a parameter and an image
    this.parts = GramMatrix.parts(plan, HELD_BYTES / (rows * USUAL));
    long longest = parts.stream().mapToLong(GramMatrix.Part::length).max().orElseThrow();
    long results = 2 * 2L * plan.classes() * many.size(); // in double, and for a while twice
    this.images = (int) Math.max(1, Math.min(HELD_BYTES / longest, RESULT_BYTES / results) / rows);
  }

  /** The most images x to be given at once. */
  public int images() {
    return images;
  }

  /**
   * k(x, X) and k(x, x).
   *
   * @param x [n, channels, height, width]
   * @param own [n, C, C], overwritten: k of each image with itself
   * @return [n·C, N·C]
   */
  public double[] of(float[] x, int n, double[] own) throws IOException {
    int classes = parts.get(0).classes();
    Sum sum = new Sum(n, classes);
    for (GramMatrix.Part part : parts) {
      sum = part.classes() == sum.classes ? sum : sum.withLastClass();
      try (Rows rows = new Rows(part, x, n, sum)) {
        rows.passAll();
      }
    }
    sum = sum.classes == plan.classes() ? sum : sum.withLastClass();
    System.arraycopy(sum.own, 0, own, 0, sum.own.length);
    return sum.cross;
  }

  /** What the parts so far have given. */
  private final class Sum {
    final int n;
    final int classes; // all, or all but the last
    final double[] cross; // [n·classes, N·classes]
    final double[] own; // [n, classes, classes]

    Sum(int n, int classes) {
      this.n = n;
      this.classes = classes;
      this.cross = new double[Math.multiplyExact(n * classes, row())];
      this.own = new double[n * classes * classes];
    }

    int row() {
      return many.size() * classes;
    }

    Sum withLastClass() {
      Sum all = new Sum(n, classes + 1);
      for (int i = 0; i < n; i++) {
        for (int j = 0; j < many.size(); j++) {
          GramMatrix.spread(
              cross,
              i * classes * row() + j * classes,
              row(),
              all.cross,
              i * all.classes * all.row() + j * all.classes,
              all.row(),
              classes);
        }
        int square = classes * classes;
        int to = i * all.classes * all.classes;
        GramMatrix.spread(own, i * square, classes, all.own, to, all.classes, classes);
      }
      return all;
    }
  }

  /** Rows of x by a part, in pieces of as many images as the plan takes. */
  private final class Rows implements AutoCloseable {
    private final GramMatrix.Part part;
    private final int classes;
    private final Sum sum;
    private final List<DeviceVector> pieces = new ArrayList<>();
    private final int piece; // images
    private final int tile; // images of X
    private final SymmetricMatrix products; // of a piece with itself, or with a tile

    Rows(GramMatrix.Part part, float[] x, int n, Sum sum) {
      this.part = part;
      this.classes = part.classes();
      this.sum = sum;
      this.piece = Math.min(n, plan.maxBatch());
      long fit = PASSING_BYTES / (4L * classes * part.length());
      this.tile = (int) Math.max(1, Math.min(fit, Math.min(many.size(), plan.maxBatch())));
      this.products = engine.matrix((piece + tile) * classes);
      try {
        for (int from = 0; from < n; from += piece) {
          add(x, from, Math.min(piece, n - from), x.length / n);
        }
      } catch (RuntimeException e) {
        close();
        throw e;
      }
    }

    private void add(float[] x, int from, int count, int size) {
      DeviceVector rows = engine.vector((long) count * classes * part.length());
      pieces.add(rows);
      jacobian(Arrays.copyOfRange(x, from * size, (from + count) * size), count, rows);
      int side = count * classes;
      products.gram(0, rows, side, 0, rows, side, part.length());
      for (int i = 0; i < count; i++) {
        double[] block = products.read(i * classes, i * classes, classes, classes);
        for (int k = 0; k < block.length; k++) {
          sum.own[(from + i) * block.length + k] += block[k];
        }
      }
    }

    private void jacobian(float[] images, int count, DeviceVector rows) {
      plan.forward(images, count);
      plan.jacobian(rows, 0, part.columns(), classes);
    }

    void passAll() throws IOException {
      int[] at = new int[1]; // column of the sum
      try (DeviceVector rows = engine.vector((long) tile * classes * part.length())) {
        many.forEach(
            Samples.IN_ORDER,
            (batch, n, targets) -> {
              int size = batch.length / n;
              for (int from = 0; from < n; from += tile) {
                int count = Math.min(tile, n - from);
                jacobian(
                    Arrays.copyOfRange(batch, from * size, (from + count) * size), count, rows);
                pass(rows, count * classes, at[0]);
                at[0] += count * classes;
              }
            });
      }
    }

    private void pass(DeviceVector rows, int columns, int at) {
      for (int p = 0; p < pieces.size(); p++) {
        int first = p * piece * classes;
        int side = Math.min(piece * classes, sum.n * classes - first);
        products.gram(0, pieces.get(p), side, side, rows, columns, part.length());
        double[] block = products.read(0, side, side, columns);
        for (int i = 0; i < side; i++) {
          int to = (first + i) * sum.row() + at;
          for (int k = 0; k < columns; k++) {
            sum.cross[to + k] += block[i * columns + k];
          }
        }
      }
    }

    @Override
    public void close() {
      pieces.forEach(DeviceVector::close);
      products.close();
    }
  }
}
