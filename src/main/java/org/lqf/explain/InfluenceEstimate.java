package org.lqf.explain;

import java.io.IOException;
import org.lqf.engine.DeviceVector;
import org.lqf.solve.ImageArray;
import org.lqf.solve.LeastSquares;

/**
 * What one output would become without one training image, for each of them, to first order in the
 * weight of the image: f₋ᵢ(x) − f(x) ≈ −⟨[k(x, X)G]ᵢ, eᵢ⟩, where {@link Influence} has (I −
 * Sᵢᵢ)⁻¹eᵢ in place of the residual eᵢ. Exact as a derivative; as a removal it is too small by
 * about what the model owes to the image in its answer for it. No Gram matrix: one solve by
 * conjugate gradients. Source: Koh and Liang 2017 (influence functions).
 */
public final class InfluenceEstimate {

  private static final double TOLERANCE = 1e-5;
  private static final int ITERATIONS = 500;

  private InfluenceEstimate() {}

  /**
   * Of one output for one image.
   *
   * @param alpha see {@link FittedModel#alpha}, [N, C]
   * @param image [channels, height, width]
   * @param c the class
   * @return f₋ᵢ(x) − f(x) of that class, about, [N]
   */
  public static double[] of(FittedModel fitted, double[] alpha, float[] image, int c)
      throws IOException {
    int classes = fitted.classes();
    double[] one = new double[classes];
    one[c] = 1;
    try (DeviceVector row = fitted.engine().vector(fitted.delta().length());
        DeviceVector solved = fitted.engine().vector(row.length());
        LeastSquares problem =
            new LeastSquares(fitted.engine(), fitted.plan(), fitted.samples(), fitted.ridge())) {
      fitted.addTransposed(ImageArray.unlabelled(image, 1, classes, fitted.maxBatch()), one, row);
      NormalEquations.solve(problem, row, solved, TOLERANCE, ITERATIONS);
      double[] coupling = fitted.times(fitted.samples(), solved); // N·G·k(X, x) of the class
      double[] effects = new double[fitted.images()];
      for (int k = 0; k < alpha.length; k++) {
        effects[k / classes] -= coupling[k] * fitted.ridge() * alpha[k]; // e = λNα
      }
      return effects;
    }
  }
}
