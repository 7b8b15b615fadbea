package org.lqf.explain;

import java.io.IOException;
import java.nio.ByteBuffer;
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
 * single. Row i·C + c belongs to class c of image i; sample i owns the C×C block [i, i]. Held: G, 8
 * · (N·C)² bytes on the device, or what {@link DualFile} has of it on disk, and 4 · N² bytes on the
 * heap.
 */
public final class Dual implements AutoCloseable {

  private static final int TILE = 1 << 18; // doubles: they stay in a cache

  private static final int STRIPES = 8; // of the lower triangle; worked off side by side

  private static final int COLUMNS = 64; // of a product at a time: each stripe has its own sums

  private static final int REFINEMENTS = 2; // a third changes nothing

  private final Engine engine;
  private final int images;
  private final int classes;
  private final double mu;
  private final Triangle inverse; // of G [N·C, N·C]
  private final double[] alpha; // [N, C]
  private final double[] residual; // r = y − f0 [N, C]
  private final double[] targets; // y [N, C]
  private final float[] similarity; // tr K_ij [N, N]

  Dual(
      Engine engine,
      int images,
      double mu,
      Triangle inverse,
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
          Triangle.of(matrix),
          alpha,
          residual,
          targets,
          similarity);
    } catch (IOException | RuntimeException e) {
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

  /**
   * Rows of G, [wanted, N·C]; from a file in one walk over the triangle.
   *
   * @param wanted distinct
   */
  double[] rows(int... wanted) {
    int side = side();
    double[] rows = new double[Math.multiplyExact(wanted.length, side)];
    if (inverse.matrix().isPresent()) {
      SymmetricMatrix matrix = inverse.matrix().get();
      for (int s = 0; s < wanted.length; s++) {
        System.arraycopy(matrix.read(wanted[s], 0, 1, side), 0, rows, s * side, side);
      }
      return rows;
    }
    walk(
        (row, end, stripe, g) -> {
          for (int i = row; i < end; i++) {
            int at = (i - row) * end;
            for (int s = 0; s < wanted.length; s++) {
              if (wanted[s] < i) {
                rows[s * side + i] = g[at + wanted[s]];
              } else if (wanted[s] == i) {
                System.arraycopy(g, at, rows, s * side, i + 1);
              }
            }
          }
        });
    return rows;
  }

  /** G_ii, [C, C]. */
  double[] block(int image) {
    int first = image * classes;
    double[] block = read(first, first + classes, first);
    for (int i = 0; i < classes; i++) {
      for (int j = 0; j < i; j++) {
        block[j * classes + i] = block[i * classes + j];
      }
    }
    return block;
  }

  /** Rows [row, end) of the lower triangle, [end − row, end]; anything right of the diagonal. */
  double[] lower(int row, int end) {
    return read(row, end, 0);
  }

  private double[] read(int row, int end, int from) {
    double[] rows = new double[Math.multiplyExact(end - row, end - from)];
    ByteBuffer memory = memory(rows.length);
    inverse.read(row, end, from, memory);
    memory.asDoubleBuffer().get(rows);
    return rows;
  }

  private static ByteBuffer memory(int doubles) {
    return ByteBuffer.allocateDirect(Math.multiplyExact(Double.BYTES, doubles));
  }

  /** Hears of rows [row, end) of the triangle, as {@link #lower} has them. */
  private interface Visitor {
    void visit(int row, int end, int stripe, double[] rows);
  }

  /**
   * Reads the triangle once: in stripes of like size, side by side, the same for any number of
   * threads; each from the top in tiles that stay in a cache.
   */
  private void walk(Visitor visitor) {
    IntStream.range(0, STRIPES)
        .parallel()
        .forEach(
            stripe -> {
              int first = stripeStart(stripe);
              int last = stripeStart(stripe + 1);
              int tile = Math.max(1, Math.min(TILE / side(), last - first));
              double[] rows = new double[tile * last];
              ByteBuffer memory = memory(rows.length);
              for (int row = first; row < last; row += tile) {
                int end = Math.min(last, row + tile);
                int size = (end - row) * end;
                inverse.read(row, end, 0, memory.clear().limit(Double.BYTES * size));
                memory.clear().asDoubleBuffer().get(rows, 0, size);
                visitor.visit(row, end, stripe, rows);
              }
            });
  }

  private int stripeStart(int stripe) {
    return (int) Math.round(side() * Math.sqrt((double) stripe / STRIPES));
  }

  /**
   * G·x.
   *
   * @param x [N·C, columns], read
   * @return [N·C, columns]
   */
  public double[] multiply(double[] x, int columns) {
    if (columns <= COLUMNS) {
      return multiplyTogether(x, columns);
    }
    double[] product = new double[x.length];
    for (int from = 0; from < columns; from += COLUMNS) {
      int width = Math.min(COLUMNS, columns - from);
      double[] some = new double[side() * width];
      for (int i = 0; i < side(); i++) {
        System.arraycopy(x, i * columns + from, some, i * width, width);
      }
      double[] part = multiplyTogether(some, width);
      for (int i = 0; i < side(); i++) {
        System.arraycopy(part, i * width, product, i * columns + from, width);
      }
    }
    return product;
  }

  private double[] multiplyTogether(double[] x, int columns) {
    double[][] parts = new double[STRIPES][x.length];
    walk(
        (row, end, stripe, g) -> {
          for (int i = row; i < end; i++) {
            int at = (i - row) * end;
            if (columns == 1) {
              parts[stripe][i] += dot(g, at, x, i + 1);
              add(x[i], g, at, parts[stripe], i);
            } else {
              multiplyRow(g, at, i, x, columns, parts[stripe]);
            }
          }
        });
    double[] product = parts[0];
    for (int stripe = 1; stripe < STRIPES; stripe++) {
      add(1, parts[stripe], 0, product, product.length);
    }
    return product;
  }

  /** What row i of the lower triangle, g[at … at + i], and its mirror image add to G·x. */
  private static void multiplyRow(
      double[] g, int at, int i, double[] x, int columns, double[] out) {
    for (int k = 0; k <= i; k++) {
      double factor = g[at + k];
      for (int c = 0; c < columns; c++) {
        out[i * columns + c] += factor * x[k * columns + c];
      }
      if (k < i) {
        for (int c = 0; c < columns; c++) {
          out[k * columns + c] += factor * x[i * columns + c];
        }
      }
    }
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
      return new Dual(
          engine, images, otherMu, Triangle.of(other), otherAlpha, residual, targets, similarity);
    } catch (RuntimeException e) {
      other.close();
      throw e;
    }
  }

  /** A copy of G, owned by the caller. */
  SymmetricMatrix copy() {
    SymmetricMatrix other = engine.matrix(side());
    try {
      walk(
          (row, end, stripe, rows) -> {
            int height = end - row;
            for (int i = row; i < end; i++) { // the square on the diagonal
              for (int k = i + 1; k < end; k++) {
                rows[(i - row) * end + k] = rows[(k - row) * end + i];
              }
            }
            double[] lower = Arrays.copyOf(rows, height * end);
            other.write(row, 0, height, end, lower);
            other.write(0, row, end, height, Blocks.transpose(lower, height, end));
          });
      return other;
    } catch (RuntimeException e) {
      other.close();
      throw e;
    }
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
