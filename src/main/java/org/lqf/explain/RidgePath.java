package org.lqf.explain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.lqf.engine.SymmetricMatrix;

/**
 * What the model would be at other ridges, all from one eigendecomposition K = QΛQᵀ: α(μ) = Q(Λ +
 * μ)⁻¹Qᵀr; math.md §6. Generalised cross-validation: Golub, Heath and Wahba 1979.
 *
 * @param points by increasing ridge
 */
public record RidgePath(List<Point> points) {

  private static final int TILE = 64; // eigenvectors that are read at a time

  /**
   * One ridge.
   *
   * @param mu of the summed loss; λ is this divided by N
   * @param fittedLoss mean of ½‖yᵢ − f(xᵢ)‖² over the training images
   * @param looLoss mean of ½‖yᵢ − f₋ᵢ(xᵢ)‖² at the same μ
   * @param looAccuracy share of the images that the others give their label
   * @param gcv generalised cross-validation, mean of ½‖yᵢ − f(xᵢ)‖² / (1 − trace S/(N·C))²
   * @param freedom trace S, the effective number of parameters, in [0, N·C]
   */
  public record Point(
      double mu,
      double fittedLoss,
      double looLoss,
      double looAccuracy,
      double gcv,
      double freedom) {}

  public RidgePath {
    points = List.copyOf(points);
  }

  /**
   * The ridges μ·factor.
   *
   * @param factors of the dual's own μ, &gt; 0
   */
  public static RidgePath of(Dual dual, double[] factors) {
    int side = dual.side();
    double[] mus = Arrays.stream(factors).map(factor -> factor * dual.mu()).sorted().toArray();
    try (SymmetricMatrix matrix = dual.copy()) {
      double[] values = matrix.eigen(); // of G, the vectors are those of K
      for (int j = 0; j < side; j++) {
        values[j] = Math.max(0, 1 / values[j] - dual.mu());
      }
      double[][] alphas = new double[mus.length][side];
      double[][] blocks = new double[mus.length][side * dual.classes()]; // G_ii(μ) [N, C, C]
      double[] alpha = dual.alpha(); // refined: its (K + μI)α is a better y − f0 for this K
      for (int row = 0; row < side; row += TILE) {
        int first = row;
        int count = Math.min(TILE, side - row);
        double[] vectors = matrix.read(row, 0, count, side);
        double[] coordinates = new double[count];
        for (int j = 0; j < count; j++) {
          for (int k = 0; k < side; k++) {
            coordinates[j] += vectors[j * side + k] * alpha[k];
          }
          coordinates[j] *= values[first + j] + dual.mu();
        }
        IntStream.range(0, mus.length)
            .parallel()
            .forEach(
                m -> {
                  for (int j = 0; j < count; j++) {
                    double weight = 1 / (values[first + j] + mus[m]);
                    add(vectors, j * side, weight * coordinates[j], alphas[m]);
                    addBlocks(vectors, j * side, weight, dual.classes(), blocks[m]);
                  }
                });
      }
      List<Point> points = new ArrayList<>();
      for (int m = 0; m < mus.length; m++) {
        points.add(point(dual, mus[m], alphas[m], blocks[m], values));
      }
      return new RidgePath(points);
    }
  }

  /** Powers of ten from 10^low to 10^high, {@code perDecade} of them in each decade. */
  public static double[] decades(int low, int high, int perDecade) {
    double[] factors = new double[(high - low) * perDecade + 1];
    Arrays.setAll(factors, i -> Math.pow(10, low + i / (double) perDecade));
    return factors;
  }

  /** The ridge with the smallest leave-one-out loss. */
  public Point bestByLeaveOneOut() {
    return best(Comparator.comparingDouble(Point::looLoss));
  }

  /** The ridge with the smallest generalised cross-validation. */
  public Point bestByGcv() {
    return best(Comparator.comparingDouble(Point::gcv));
  }

  private Point best(Comparator<Point> order) {
    return points.stream().min(order).orElseThrow();
  }

  private static void add(double[] vectors, int at, double factor, double[] sum) {
    for (int k = 0; k < sum.length; k++) {
      sum[k] += factor * vectors[at + k];
    }
  }

  private static void addBlocks(
      double[] vectors, int at, double weight, int classes, double[] blocks) {
    for (int k = 0; k < blocks.length / classes; k++) { // row k of its image's block
      double factor = weight * vectors[at + k];
      int own = at + k / classes * classes;
      for (int c = 0; c < classes; c++) {
        blocks[k * classes + c] += factor * vectors[own + c];
      }
    }
  }

  private static Point point(
      Dual dual, double mu, double[] alpha, double[] blocks, double[] values) {
    int classes = dual.classes();
    int images = dual.images();
    double[] targets = dual.targets();
    double fitted = 0;
    double loo = 0;
    int right = 0;
    for (int i = 0; i < images; i++) {
      int from = i * classes;
      double[] error = Arrays.copyOfRange(alpha, from, from + classes);
      double[] block = Arrays.copyOfRange(blocks, from * classes, (from + classes) * classes);
      for (double value : error) {
        fitted += mu * value * mu * value / 2;
      }
      Blocks.solve(block, classes, error, 1);
      double[] out = new double[classes];
      for (int c = 0; c < classes; c++) {
        loo += error[c] * error[c] / 2;
        out[c] = targets[from + c] - error[c];
      }
      right += Blocks.largest(out, 0, classes) == Blocks.largest(targets, from, classes) ? 1 : 0;
    }
    double freedom = 0;
    for (double value : values) {
      freedom += value / (value + mu);
    }
    double left = 1 - freedom / values.length;
    return new Point(
        mu,
        fitted / images,
        loo / images,
        right / (double) images,
        fitted / images / (left * left),
        freedom);
  }
}
