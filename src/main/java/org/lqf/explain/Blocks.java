package org.lqf.explain;

/** Small dense blocks, C×C or a few of them together, row-major in plain arrays of doubles. */
final class Blocks {

  private static final int STRIP = 16; // columns whose ends of lines stay in a cache

  private Blocks() {}

  /**
   * Solves a·x = b by Cholesky.
   *
   * @param a [n, n] symmetric positive definite, overwritten by its factor
   * @param b [n, columns], overwritten by x
   * @throws ArithmeticException if a is not positive definite
   */
  static void solve(double[] a, int n, double[] b, int columns) {
    for (int j = 0; j < n; j++) {
      for (int k = 0; k < j; k++) {
        double factor = a[j * n + k];
        for (int i = j; i < n; i++) {
          a[i * n + j] -= factor * a[i * n + k];
        }
      }
      if (!(a[j * n + j] > 0)) {
        throw new ArithmeticException(
            "a block of side %d is not positive definite at pivot %d".formatted(n, j));
      }
      double root = Math.sqrt(a[j * n + j]);
      for (int i = j; i < n; i++) {
        a[i * n + j] /= root;
      }
    }
    for (int c = 0; c < columns; c++) {
      for (int i = 0; i < n; i++) {
        double sum = b[i * columns + c];
        for (int k = 0; k < i; k++) {
          sum -= a[i * n + k] * b[k * columns + c];
        }
        b[i * columns + c] = sum / a[i * n + i];
      }
      for (int i = n - 1; i >= 0; i--) {
        double sum = b[i * columns + c];
        for (int k = i + 1; k < n; k++) {
          sum -= a[k * n + i] * b[k * columns + c];
        }
        b[i * columns + c] = sum / a[i * n + i];
      }
    }
  }

  /** Position of the first largest of values[from … from + n), counted from {@code from}. */
  static int largest(double[] values, int from, int n) {
    int best = 0;
    for (int c = 1; c < n; c++) {
      best = values[from + c] > values[from + best] ? c : best;
    }
    return best;
  }

  /** How far values[from + label] lies above the largest of the others; negative if below. */
  static double margin(double[] values, int from, int n, int label) {
    double other = Double.NEGATIVE_INFINITY;
    for (int c = 0; c < n; c++) {
      other = c == label ? other : Math.max(other, values[from + c]);
    }
    return values[from + label] - other;
  }

  /** Transposes [rows, columns] to [columns, rows]. */
  static double[] transpose(double[] a, int rows, int columns) {
    double[] t = new double[a.length];
    for (int from = 0; from < columns; from += STRIP) {
      int end = Math.min(columns, from + STRIP);
      for (int i = 0; i < rows; i++) {
        for (int j = from; j < end; j++) {
          t[j * rows + i] = a[i * columns + j];
        }
      }
    }
    return t;
  }
}
