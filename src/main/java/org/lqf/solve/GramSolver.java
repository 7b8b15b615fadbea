package org.lqf.solve;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Certificate;

/**
 * The exact dual solution Δ = Jᵀα with (K + μI)α = y − f(x; w0), K = JJᵀ and μ = λN, by Cholesky in
 * double precision. For few images: K has side N·C.
 *
 * <p>Jᵀ and J are applied in single precision, so α is refined with the residual of the Δ that it
 * gave until that no longer helps.
 */
public final class GramSolver {

  private static final int MAX_REFINEMENTS = 5;

  /** A refinement must bring the gradient to less than this part of what it was. */
  private static final double WORTHWHILE = 0.5;

  private GramSolver() {}

  /**
   * Moves delta to the optimum.
   *
   * @param delta [parameters], overwritten; its old value does not matter
   */
  public static Solution solve(LeastSquares problem, DeviceVector delta, Progress progress)
      throws IOException {
    try (SymmetricMatrix kernel =
        GramMatrix.of(problem.engine(), problem.plan(), problem.samples(), progress)) {
      return solve(problem, kernel, delta, progress);
    }
  }

  /**
   * Moves delta to the optimum where K is at hand: several ridges can share it.
   *
   * @param kernel K of the problem's plan and samples, replaced by its Cholesky factor
   * @param delta [parameters], overwritten; its old value does not matter
   */
  public static Solution solve(
      LeastSquares problem, SymmetricMatrix kernel, DeviceVector delta, Progress progress)
      throws IOException {
    List<Progress.Step> trace = new ArrayList<>();
    try (DeviceVector best = problem.engine().vector(delta.length());
        DeviceVector gradient = problem.engine().vector(delta.length())) {
      double mu = problem.ridge() * problem.samples().size();
      kernel.cholesky(mu);
      double[] alpha = new double[kernel.side()];
      double[] error = residuals(problem, delta.fill(0)); // y − f(x; w0) − JΔ − μα
      Certificate certificate = problem.certify(best, gradient); // of Δ = 0
      int refinements = 0;
      while (true) {
        kernel.solve(error, 1);
        for (int i = 0; i < alpha.length; i++) {
          alpha[i] += error[i];
        }
        transpose(problem, alpha, delta);
        Certificate next = problem.certify(delta, gradient);
        boolean better = next.gradientNorm() < certificate.gradientNorm();
        boolean worthwhile = next.gradientNorm() < WORTHWHILE * certificate.gradientNorm();
        if (better) {
          best.set(delta);
          certificate = next;
          Progress.Step step =
              new Progress.Step(++refinements, 1, next.loss(), next.gradientNorm());
          trace.add(step);
          progress.report(step);
        }
        if (!worthwhile || refinements == MAX_REFINEMENTS) {
          delta.set(best);
          return new Solution(refinements, certificate, true, trace);
        }
        error = residuals(problem, delta);
        for (int i = 0; i < alpha.length; i++) {
          error[i] -= mu * alpha[i];
        }
      }
    }
  }

  /** y − f(x; w0) − JΔ, [N·C]. */
  static double[] residuals(LeastSquares problem, DeviceVector delta) throws IOException {
    int classes = problem.plan().classes();
    double[] all = new double[GramMatrix.side(problem.samples().size(), classes)];
    int[] at = new int[1];
    problem
        .samples()
        .forEach(
            Samples.IN_ORDER,
            (images, n, targets) -> {
              problem.forwardJvp(images, n, delta);
              for (float value : problem.residual(n, targets).toArray()) {
                all[at[0]++] = -value;
              }
            });
    return all;
  }

  /** delta = Jᵀ·dual. */
  static void transpose(LeastSquares problem, double[] dual, DeviceVector delta)
      throws IOException {
    int classes = problem.plan().classes();
    float[] single = new float[dual.length];
    for (int i = 0; i < dual.length; i++) {
      single[i] = (float) dual[i];
    }
    int[] at = new int[1];
    delta.fill(0);
    problem
        .samples()
        .forEach(
            Samples.IN_ORDER,
            (images, n, targets) -> {
              int end = at[0] + n * classes;
              problem.forward(images, n);
              DeviceVector cotangent = problem.vector(n);
              cotangent.write(Arrays.copyOfRange(single, at[0], end));
              problem.plan().vjp(cotangent, delta);
              at[0] = end;
            });
  }
}
