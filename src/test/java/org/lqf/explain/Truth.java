package org.lqf.explain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.lqf.engine.DualOracle;

/**
 * Actual retraining in double precision: Jacobians by {@link DualOracle}, the reduced ridge system
 * solved anew by elimination for every question. No closed form of the package is used here.
 */
final class Truth {

  /** Of the training images, then the test images. */
  static final Truth TINY = new Truth();

  private static final int C = TinyProblem.CLASSES;

  private final List<double[][]> jacobians = new ArrayList<>(); // of each image [C][parameters]
  private final List<double[]> base = new ArrayList<>(); // f(x; w0) of each image [C]
  private final double[][] kernel; // [images·C][images·C]

  private Truth() {
    DualOracle oracle = TinyProblem.oracle();
    List<double[]> images = TinyProblem.oracleImages(TinyProblem.TRAIN_IMAGES);
    images.addAll(TinyProblem.oracleImages(TinyProblem.TEST_IMAGES));
    jacobians.addAll(images.stream().parallel().map(oracle::jacobian).toList());
    base.addAll(images.stream().parallel().map(oracle::forward).toList());
    int side = images.size() * TinyProblem.CLASSES;
    kernel = new double[side][side];
    IntStream.range(0, side)
        .parallel()
        .forEach(
            a -> {
              double[] left = row(a);
              for (int b = 0; b < side; b++) {
                double[] right = row(b);
                double sum = 0;
                for (int k = 0; k < left.length; k++) {
                  sum += left[k] * right[k];
                }
                kernel[a][b] = sum;
              }
            });
  }

  private double[] row(int a) {
    return jacobians.get(a / TinyProblem.CLASSES)[a % TinyProblem.CLASSES];
  }

  double[] base(int image) {
    return base.get(image);
  }

  double[][] jacobian(int image) {
    return jacobians.get(image);
  }

  /** k(a, b), [C, C] row-major. */
  double[] block(int a, int b) {
    double[] block = new double[C * C];
    for (int i = 0; i < C * C; i++) {
      block[i] = kernel[a * C + i / C][b * C + i % C];
    }
    return block;
  }

  static int[] all() {
    return IntStream.range(0, TinyProblem.TRAIN).toArray();
  }

  static int[] without(int... removed) {
    return IntStream.range(0, TinyProblem.TRAIN)
        .filter(i -> Arrays.stream(removed).noneMatch(r -> r == i))
        .toArray();
  }

  /** Dual solution of a training on these images (indices may be test images), [n, C]. */
  double[] alpha(int[] images, int[] labels, double mu) {
    double[] weights = new double[images.length];
    Arrays.fill(weights, 1);
    return alpha(images, labels, weights, mu);
  }

  /** The same where each image counts as often as its weight says, [n, C]. */
  double[] alpha(int[] images, int[] labels, double[] weights, double mu) {
    int side = images.length * C;
    double[][] system = new double[side][side + 1];
    for (int i = 0; i < side; i++) {
      for (int j = 0; j < side; j++) {
        system[i][j] = kernel[images[i / C] * C + i % C][images[j / C] * C + j % C];
      }
      system[i][i] += mu / weights[i / C];
      double y = labels[i / C] == i % C ? TinyProblem.SCALE : 0;
      system[i][side] = y - base.get(images[i / C])[i % C];
    }
    return eliminate(system);
  }

  /** The same with the labels that the images have. */
  double[] alpha(int[] images, double mu) {
    return alpha(images, Arrays.stream(images).map(Truth::label).toArray(), mu);
  }

  static int label(int image) {
    return image < TinyProblem.TRAIN
        ? TinyProblem.TRAIN_LABELS[image]
        : TinyProblem.TEST_LABELS[image - TinyProblem.TRAIN];
  }

  /** f(x) of the model trained on these images, [C]. */
  double[] output(int x, int[] images, double[] alpha) {
    double[] out = base.get(x).clone();
    for (int c = 0; c < C; c++) {
      for (int j = 0; j < alpha.length; j++) {
        out[c] += kernel[x * C + c][images[j / C] * C + j % C] * alpha[j];
      }
    }
    return out;
  }

  /**
   * Δ of a training on some outputs of some images: row i·C + c is output c of image i,
   * [parameters] of the network with all classes.
   */
  double[] deltaOfRows(int[] rows, double mu) {
    int side = rows.length;
    double[][] system = new double[side][side + 1];
    for (int i = 0; i < side; i++) {
      for (int j = 0; j < side; j++) {
        system[i][j] = kernel[rows[i]][rows[j]];
      }
      system[i][i] += mu;
      double y = label(rows[i] / C) == rows[i] % C ? TinyProblem.SCALE : 0;
      system[i][side] = y - base.get(rows[i] / C)[rows[i] % C];
    }
    double[] alpha = eliminate(system);
    double[] delta = new double[row(0).length];
    for (int i = 0; i < side; i++) {
      double[] row = row(rows[i]);
      for (int k = 0; k < delta.length; k++) {
        delta[k] += alpha[i] * row[k];
      }
    }
    return delta;
  }

  /** Δ = Jᵀα, [parameters]. */
  double[] delta(int[] images, double[] alpha) {
    double[] delta = new double[row(0).length];
    for (int j = 0; j < alpha.length; j++) {
      double[] row = row(images[j / C] * C + j % C);
      for (int k = 0; k < delta.length; k++) {
        delta[k] += alpha[j] * row[k];
      }
    }
    return delta;
  }

  /** Gauss-Jordan with partial pivoting; the last column is the right side. */
  static double[] eliminate(double[][] system) {
    int n = system.length;
    for (int p = 0; p < n; p++) {
      int pivot = p;
      for (int i = p; i < n; i++) {
        pivot = Math.abs(system[i][p]) > Math.abs(system[pivot][p]) ? i : pivot;
      }
      double[] swapped = system[p];
      system[p] = system[pivot];
      system[pivot] = swapped;
      for (int i = p + 1; i < n; i++) {
        double factor = system[i][p] / system[p][p];
        for (int j = p; factor != 0 && j <= n; j++) {
          system[i][j] -= factor * system[p][j];
        }
      }
    }
    double[] x = new double[n];
    for (int i = n - 1; i >= 0; i--) {
      double sum = system[i][n];
      for (int j = i + 1; j < n; j++) {
        sum -= system[i][j] * x[j];
      }
      x[i] = sum / system[i][i];
    }
    return x;
  }
}
