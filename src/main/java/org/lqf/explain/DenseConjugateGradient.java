package org.lqf.explain;

import java.util.function.UnaryOperator;

/** Conjugate gradients in double on the heap, for symmetric positive definite maps. */
final class DenseConjugateGradient {

  private DenseConjugateGradient() {}

  /**
   * Solves apply(x) = right.
   *
   * @param start read
   * @param tolerance stop at ‖right − apply(x)‖ ≤ tolerance · ‖right‖
   * @return x, a fresh array
   * @throws ArithmeticException if so many steps do not reach that; says how far they came
   */
  static double[] solve(
      UnaryOperator<double[]> apply,
      double[] right,
      double[] start,
      double tolerance,
      int iterations) {
    double[] x = start.clone();
    double[] residual = apply.apply(x);
    for (int i = 0; i < x.length; i++) {
      residual[i] = right[i] - residual[i];
    }
    double[] direction = residual.clone();
    double rho = dot(residual, residual);
    double scale = dot(right, right);
    for (int step = 0; rho > tolerance * tolerance * scale && step < iterations; step++) {
      double[] product = apply.apply(direction);
      double length = rho / dot(direction, product);
      for (int i = 0; i < x.length; i++) {
        x[i] += length * direction[i];
        residual[i] -= length * product[i];
      }
      double next = dot(residual, residual);
      for (int i = 0; i < x.length; i++) {
        direction[i] = residual[i] + next / rho * direction[i];
      }
      rho = next;
    }
    if (!(rho <= tolerance * tolerance * scale)) {
      throw new ArithmeticException(
          "after %d steps of conjugate gradients %.1g of the right side is left, wanted is %.1g"
              .formatted(iterations, Math.sqrt(rho / scale), tolerance));
    }
    return x;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }
}
