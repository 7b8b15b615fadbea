package org.lqf.explain;

import java.io.IOException;
import org.lqf.engine.DeviceVector;
import org.lqf.solve.LeastSquares;

/** (1/N JᵀJ + λI)x = b for any b, by conjugate gradients: one jvp and one vjp a step. */
final class NormalEquations {

  private NormalEquations() {}

  /**
   * Solves.
   *
   * @param b [parameters], read
   * @param x [parameters], the start, overwritten
   * @param tolerance stop at ‖b − Hx‖ ≤ tolerance · ‖b‖
   * @throws ArithmeticException if so many steps do not reach that; says how far they came
   */
  static void solve(
      LeastSquares problem, DeviceVector b, DeviceVector x, double tolerance, int iterations)
      throws IOException {
    try (DeviceVector residual = problem.engine().vector(x.length());
        DeviceVector direction = problem.engine().vector(x.length());
        DeviceVector product = problem.engine().vector(x.length())) {
      problem.hessian(x, product);
      residual.set(b).add(-1, product);
      direction.set(residual);
      double rho = residual.dot(residual);
      double goal = tolerance * b.norm();
      int steps = 0;
      while (Math.sqrt(rho) > goal && steps < iterations) {
        problem.hessian(direction, product);
        double length = rho / direction.dot(product);
        x.add(length, direction);
        residual.add(-length, product);
        double next = residual.dot(residual);
        direction.scale(next / rho).add(1, residual);
        rho = next;
        steps++;
      }
      if (!(Math.sqrt(rho) <= goal)) {
        throw new ArithmeticException(
            "after %d steps of conjugate gradients %.1g of the right side is left, wanted is %.1g; a larger ridge makes it easier"
                .formatted(steps, Math.sqrt(rho) / b.norm(), tolerance));
      }
    }
  }
}
