package org.lqf.explain;

import java.io.IOException;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.solve.GramMatrix;
import org.lqf.solve.Progress;

/**
 * The problem seen from the images: G = (K + μI)⁻¹ with K = JJᵀ, and α = G(y − f0), so that Δ =
 * Jᵀα; math.md §5. Everything exact that is said about images is a few products with G.
 *
 * <p>Numbers only: it knows no network. G is in double precision, from a K whose rows of J are
 * single. Row i·C + c belongs to class c of image i; sample i owns the C×C block [i, i]. Held: 8 ·
 * (N·C)² bytes on the device and 4 · N² on the heap.
 */
public final class Dual implements AutoCloseable {

  private static final int TILE =
      1 << 18; // doubles of G on the heap at a time: they stay in a cache

  private static final int REFINEMENTS = 2; // a third changes nothing

  private final Engine engine;
  private final int images;
  private final int classes;
  private final double mu;
  private final SymmetricMatrix inverse; // G [N·C, N·C]
  private final double[] alpha; // [N, C]
  private final double[] residual; // r = y − f0 [N, C]
  private final double[] targets; // y [N, C]
  private final float[] similarity; // tr K_ij [N, N]

  Dual(
      Engine engine,
      int images,
      double mu,
      SymmetricMatrix inverse,
      double[] alpha,
      double[] residual,
      double[] targets,
      float[] similarity) {
    this.engine = engine;
    this.images = images;
    this.classes = alpha.length / images;
    this.mu = mu;
    this.inverse = inverse;
    this.alpha = alpha;
    this.residual = residual;
    this.targets = targets;
    this.similarity = similarity;
  }

  /**
   * Computes K, factorises and inverts, at the model's own μ = λN.
   *
   * @throws IllegalArgumentException if N·C is larger than 46340; says so
   */
  public static Dual of(FittedModel fitted, Progress progress) throws IOException {
    GramMatrix.side(fitted.images(), fitted.classes());
    double[] targets = fitted.targets();
    double[] residual = targets.clone();
    double[] base = fitted.base();
    Arrays.setAll(residual, i -> targets[i] - base[i]);
    SymmetricMatrix matrix =
        GramMatrix.of(fitted.engine(), fitted.plan(), fitted.samples(), progress);
    try {
      float[] similarity = traces(matrix, fitted.images(), fitted.classes());
      matrix.cholesky(fitted.mu());
      double[] alpha = refined(fitted, matrix, residual);
      matrix.invert();
      return new Dual(
          fitted.engine(),
          fitted.images(),
          fitted.mu(),
          matrix,
          alpha,
          residual,
          targets,
          similarity);
    } catch (RuntimeException e) {
      matrix.close();
      throw e;
    }
  }

  /**
   * α with K applied as J(Jᵀα): the entries of K are sums of many products in single precision,
   * which shows where they cancel.
   *
   * @param factor of K + μI
   */
  private static double[] refined(FittedModel fitted, SymmetricMatrix factor, double[] residual)
      throws IOException {
    double[] alpha = residual.clone();
    factor.solve(alpha, 1);
    try (DeviceVector delta = fitted.engine().vector(fitted.delta().length())) {
      for (int step = 0; step < REFINEMENTS; step++) {
        fitted.addTransposed(fitted.samples(), alpha, delta.fill(0));
        double[] error = fitted.times(fitted.samples(), delta);
        for (int i = 0; i < error.length; i++) {
          error[i] = residual[i] - error[i] - fitted.mu() * alpha[i];
        }
        factor.solve(error, 1);
        for (int i = 0; i < error.length; i++) {
          alpha[i] += error[i];
        }
      }
    }
    return alpha;
  }

  /** N. */
  public int images() {
    return images;
  }

  /** C. */
  public int classes() {
    return classes;
  }

  /** N·C. */
  public int side() {
    return alpha.length;
  }

  /** The ridge of the summed loss that G belongs to. */
  public double mu() {
    return mu;
  }

  /** α = G(y − f0), [N, C], a fresh copy. */
  public double[] alpha() {
    return alpha.clone();
  }

  /** y, [N, C], a fresh copy. */
  public double[] targets() {
    return targets.clone();
  }

  /** y − f0, [N, C], a fresh copy. */
  public double[] residual() {
    return residual.clone();
  }

  /** Index of the largest target of each image, [N]. */
  public int[] labels() {
    int[] labels = new int[images];
    Arrays.setAll(labels, i -> Blocks.largest(targets, i * classes, classes));
    return labels;
  }

  /** f(xᵢ) = yᵢ − μαᵢ of the training images at the optimum, [N, C]. */
  public double[] fitted() {
    double[] outputs = new double[side()];
    Arrays.setAll(outputs, i -> targets[i] - mu * alpha[i]);
    return outputs;
  }

  /** tr K_ij: how alike the network finds images i and j, the same scale as ‖J_i‖·‖J_j‖. */
  public double similarity(int i, int j) {
    return similarity[i * images + j];
  }

  /** tr K_ij / √(tr K_ii · tr K_jj), in [−1, 1]; 1 for the same picture. */
  public double cosine(int i, int j) {
    return similarity(i, j) / Math.sqrt(similarity(i, i) * similarity(j, j));
  }

  Engine engine() {
    return engine;
  }

  float[] similarities() {
    return similarity;
  }

  /** Rows [row, row + rows) of G, [rows, N·C]. */
  double[] rows(int row, int rows) {
    return inverse.read(row, 0, rows, side());
  }

  /** G_ij, [C, C]. */
  double[] block(int i, int j) {
    return inverse.read(i * classes, j * classes, classes, classes);
  }

  /** Rows [row, end) of the lower triangle with the square on the diagonal, [end − row, end]. */
  double[] lower(int row, int end) {
    return inverse.read(row, 0, end - row, end);
  }

  /** Rows of G that are read at a time by those who walk over it. */
  int tileRows() {
    return Math.max(1, Math.min(side(), TILE / side()));
  }

  /**
   * G·x.
   *
   * @param x [N·C, columns], read
   * @return [N·C, columns]
   */
  public double[] multiply(double[] x, int columns) {
    return columns == 1 ? multiply(x) : multiplyRows(x, columns);
  }

  /** G·x from the lower triangle alone: half of what is copied to the heap. */
  private double[] multiply(double[] x) {
    double[] product = new double[side()];
    int tile = tileRows();
    for (int row = 0; row < side(); row += tile) {
      int end = Math.min(side(), row + tile);
      double[] g = lower(row, end);
      for (int i = row; i < end; i++) {
        int at = (i - row) * end;
        product[i] += dot(g, at, x, i + 1);
        add(x[i], g, at, product, i);
      }
    }
    return product;
  }

  /** g[at … at + n) · x[0 … n); four sums, since an addition waits for the one before it. */
  private static double dot(double[] g, int at, double[] x, int n) {
    double a = 0;
    double b = 0;
    double c = 0;
    double d = 0;
    int k = 0;
    for (; k < n - 3; k += 4) {
      a += g[at + k] * x[k];
      b += g[at + k + 1] * x[k + 1];
      c += g[at + k + 2] * x[k + 2];
      d += g[at + k + 3] * x[k + 3];
    }
    for (; k < n; k++) {
      a += g[at + k] * x[k];
    }
    return a + b + c + d;
  }

  /** to[0 … n) += factor · g[at … at + n). */
  private static void add(double factor, double[] g, int at, double[] to, int n) {
    for (int k = 0; k < n; k++) {
      to[k] += factor * g[at + k];
    }
  }

  private double[] multiplyRows(double[] x, int columns) {
    double[] product = new double[x.length];
    int tile = tileRows();
    for (int row = 0; row < side(); row += tile) {
      int from = row;
      int count = Math.min(tile, side() - row);
      double[] g = rows(row, count);
      IntStream.range(0, count)
          .parallel()
          .forEach(i -> multiplyRow(g, i * side(), x, columns, product, (from + i) * columns));
    }
    return product;
  }

  private void multiplyRow(double[] g, int at, double[] x, int columns, double[] out, int to) {
    for (int k = 0; k < side(); k++) {
      double factor = g[at + k];
      for (int c = 0; c < columns; c++) {
        out[to + c] += factor * x[k * columns + c];
      }
    }
  }

  /**
   * The same images at another ridge; two inversions. Leave-one-out with λ kept is that of {@code
   * at(λ(N − 1))}.
   *
   * @return owned by the caller, independent of this one
   */
  public Dual at(double otherMu) {
    if (!(otherMu > 0) || otherMu == Double.POSITIVE_INFINITY) {
      throw new IllegalArgumentException("μ must be positive and finite, got " + otherMu);
    }
    SymmetricMatrix other = copy();
    try {
      other.cholesky(0).invert(); // K + μI
      other.cholesky(otherMu - mu);
      double[] otherAlpha = residual.clone();
      other.solve(otherAlpha, 1);
      other.invert();
      return new Dual(engine, images, otherMu, other, otherAlpha, residual, targets, similarity);
    } catch (RuntimeException e) {
      other.close();
      throw e;
    }
  }

  /** A copy of G, owned by the caller. */
  SymmetricMatrix copy() {
    SymmetricMatrix other = engine.matrix(side());
    int tile = tileRows();
    for (int row = 0; row < side(); row += tile) {
      int count = Math.min(tile, side() - row);
      other.write(row, 0, count, side(), rows(row, count));
    }
    return other;
  }

  private static float[] traces(SymmetricMatrix kernel, int images, int classes) {
    float[] traces = new float[Math.multiplyExact(images, images)];
    for (int i = 0; i < images; i++) {
      double[] rows = kernel.read(i * classes, 0, classes, kernel.side());
      for (int j = 0; j < images; j++) {
        double sum = 0;
        for (int c = 0; c < classes; c++) {
          sum += rows[c * kernel.side() + j * classes + c];
        }
        traces[i * images + j] = (float) sum;
      }
    }
    return traces;
  }

  @Override
  public void close() {
    inverse.close();
  }
}
