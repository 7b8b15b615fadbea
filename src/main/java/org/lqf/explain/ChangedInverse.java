package org.lqf.explain;

import java.util.Arrays;
import org.lqf.engine.Engine;
import org.lqf.engine.SymmetricMatrix;

/**
 * (K' + μI)⁻¹ of a changed set of images as a linear map, by an update of low rank of G = (K +
 * μI)⁻¹; math.md §6. And from it α at another ridge, which the changed number of images brings
 * about.
 */
abstract class ChangedInverse {

  private static final double TOLERANCE =
      1e-8; // of ‖residual‖/‖right side‖; α is applied in single
  private static final int MAX_ITERATIONS = 1000;

  final Dual dual;

  private ChangedInverse(Dual dual) {
    this.dual = dual;
  }

  /** x → (K' + μI)⁻¹x, both [images', C]. */
  abstract double[] apply(double[] x);

  /** (K' + μI)⁻¹r', [images', C], μ that of the dual. */
  abstract double[] alpha();

  /**
   * (K' + μ'I)⁻¹b from (K' + μI)⁻¹b =: start, that is the solution of (I − (μ − μ')(K' + μI)⁻¹)x =
   * start, by conjugate gradients in double: the condition number is at most the larger of μ/μ' and
   * μ'/μ, so that a few steps do.
   */
  double[] shift(double[] start, double otherMu) {
    double difference = dual.mu() - otherMu;
    return DenseConjugateGradient.solve(
        x -> multiply(x, difference), start, start, TOLERANCE, MAX_ITERATIONS);
  }

  private double[] multiply(double[] x, double difference) {
    double[] product = apply(x);
    for (int i = 0; i < x.length; i++) {
      product[i] = x[i] - difference * product[i];
    }
    return product;
  }

  /** rows·x: [rows, length]·[length]. */
  private static double[] times(double[] rows, double[] x) {
    double[] product = new double[rows.length / x.length];
    for (int i = 0; i < product.length; i++) {
      for (int k = 0; k < x.length; k++) {
        product[i] += rows[i * x.length + k] * x[k];
      }
    }
    return product;
  }

  /** target −= rowsᵀ·x. */
  private static void subtractTransposed(double[] rows, double[] x, double[] target) {
    for (int i = 0; i < x.length; i++) {
      double factor = x[i];
      int at = i * target.length;
      for (int k = 0; k < target.length; k++) {
        target[k] -= rows[at + k] * factor;
      }
    }
  }

  private static SymmetricMatrix factor(Engine engine, double[] block, int side) {
    SymmetricMatrix matrix = engine.matrix(side);
    try {
      return matrix.write(0, 0, side, side, block).cholesky(0);
    } catch (RuntimeException e) {
      matrix.close();
      throw e;
    }
  }

  /** Without some rows S: G_kk − G_kS (G_SS)⁻¹ G_Sk; what stays keeps its order. */
  static final class Without extends ChangedInverse implements AutoCloseable {
    private final int[] removed; // rows of G
    private final boolean[] gone; // by row of G
    private final double[] rows; // G_S [|S|, N·C]
    private final SymmetricMatrix inner; // factor of G_SS

    /**
     * Factorises G_SS.
     *
     * @param removed rows of G, distinct
     */
    Without(Dual dual, int[] removed) {
      super(dual);
      this.removed = removed.clone();
      this.gone = new boolean[dual.side()];
      int side = dual.side();
      int count = removed.length;
      rows = dual.rows(removed);
      double[] block = new double[Math.multiplyExact(count, count)];
      for (int s = 0; s < count; s++) {
        gone[removed[s]] = true;
      }
      for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
          block[i * count + j] = rows[i * side + removed[j]];
        }
      }
      inner = factor(dual.engine(), block, count);
    }

    /** The rows of some images with all their classes. */
    static Without images(Dual dual, int[] images) {
      int classes = dual.classes();
      int[] rows = new int[images.length * classes];
      Arrays.setAll(rows, k -> images[k / classes] * classes + k % classes);
      return new Without(dual, rows);
    }

    @Override
    double[] apply(double[] x) {
      double[] product = dual.multiply(spread(x), 1);
      double[] correction = at(product);
      inner.solve(correction, 1);
      subtractTransposed(rows, correction, product);
      return gather(product);
    }

    @Override
    double[] alpha() {
      double[] alpha = dual.alpha();
      double[] correction = at(alpha);
      inner.solve(correction, 1);
      subtractTransposed(rows, correction, alpha);
      return gather(alpha);
    }

    /** The values of the removed rows. */
    private double[] at(double[] all) {
      double[] some = new double[removed.length];
      Arrays.setAll(some, s -> all[removed[s]]);
      return some;
    }

    /** The values of the rows that stay. */
    private double[] gather(double[] all) {
      double[] some = new double[all.length - removed.length];
      for (int row = 0, to = 0; row < gone.length; row++) {
        if (!gone[row]) {
          some[to++] = all[row];
        }
      }
      return some;
    }

    private double[] spread(double[] some) {
      double[] all = new double[gone.length];
      for (int row = 0, from = 0; row < gone.length; row++) {
        all[row] = gone[row] ? 0 : some[from++];
      }
      return all;
    }

    @Override
    public void close() {
      inner.close();
    }
  }

  /** With new images n behind the old ones: G bordered by the Schur complement of K_nn + μI. */
  static final class With extends ChangedInverse implements AutoCloseable {
    private final double[] rows; // K_nX·G [n·C, N·C]
    private final double[] residual; // r of the new images [n, C]
    private final double[] cross; // K_nX [n·C, N·C]
    private final SymmetricMatrix schur; // factor of K_nn + μI − K_nX G K_Xn

    /**
     * @param cross K_nX, [n·C, N·C]
     * @param own K_nn, [n·C, n·C]
     * @param residual y − f0 of the new images, [n, C]
     */
    With(Dual dual, double[] cross, double[] own, double[] residual) {
      super(dual);
      int count = residual.length;
      int side = dual.side();
      this.cross = cross;
      this.residual = residual;
      double[] columns = dual.multiply(Blocks.transpose(cross, count, side), count);
      this.rows = Blocks.transpose(columns, side, count);
      double[] block = own.clone();
      for (int i = 0; i < count; i++) {
        block[i * count + i] += dual.mu();
        for (int j = 0; j < count; j++) {
          double sum = 0;
          for (int k = 0; k < side; k++) {
            sum += rows[i * side + k] * cross[j * side + k];
          }
          block[i * count + j] -= sum;
        }
      }
      schur = factor(dual.engine(), block, count);
    }

    @Override
    double[] apply(double[] x) {
      double[] old = Arrays.copyOf(x, dual.side());
      return border(dual.multiply(old, 1), Arrays.copyOfRange(x, dual.side(), x.length));
    }

    @Override
    double[] alpha() {
      return border(dual.alpha(), residual.clone());
    }

    /** From G·(old part) and the new part of the right side. */
    private double[] border(double[] solved, double[] right) {
      double[] known = times(cross, solved);
      for (int i = 0; i < right.length; i++) {
        right[i] -= known[i];
      }
      schur.solve(right, 1);
      subtractTransposed(rows, right, solved);
      double[] all = Arrays.copyOf(solved, solved.length + right.length);
      System.arraycopy(right, 0, all, solved.length, right.length);
      return all;
    }

    @Override
    public void close() {
      schur.close();
    }
  }
}
