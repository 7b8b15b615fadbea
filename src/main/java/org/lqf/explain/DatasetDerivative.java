package org.lqf.explain;

import java.io.IOException;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Certificate;
import org.lqf.solve.LeastSquares;
import org.lqf.solve.Samples;

/**
 * How the loss on validation images changes with the weight of each training image: ∂L_val/∂a_i =
 * ⟨(G k(X, X_v) ℓ')_i, e_i⟩ at a = 1, math.md §6. Source: DIVA (2022). Negative: more of this image
 * would help.
 */
public final class DatasetDerivative {

  private static final double CG_TOLERANCE = 1e-5;
  private static final int CG_ITERATIONS = 500;

  private DatasetDerivative() {}

  /**
   * By the dual: one vjp over the validation images, one jvp over the training images.
   *
   * @param validation with targets; its loss is the mean of ½‖f(x) − y‖²
   * @return [N]
   */
  public static double[] of(FittedModel fitted, Dual dual, Samples validation) throws IOException {
    try (DeviceVector gradient = gradient(fitted, validation)) {
      double[] coupling = fitted.times(fitted.samples(), gradient); // k(X, X_v) ℓ'
      double[] sensitivity = dual.multiply(coupling, 1);
      double[] alpha = dual.alpha();
      double[] derivative = new double[fitted.images()];
      for (int k = 0; k < alpha.length; k++) {
        derivative[k / fitted.classes()] += sensitivity[k] * dual.mu() * alpha[k];
      }
      return derivative;
    }
  }

  /** The same without a Gram matrix: H⁻¹ by conjugate gradients, then one jvp. */
  public static double[] byConjugateGradients(FittedModel fitted, Samples validation)
      throws IOException {
    try (DeviceVector gradient = gradient(fitted, validation);
        DeviceVector solved = fitted.engine().vector(gradient.length());
        LeastSquares problem =
            new LeastSquares(fitted.engine(), fitted.plan(), fitted.samples(), fitted.ridge())) {
      NormalEquations.solve(problem, gradient, solved, CG_TOLERANCE, CG_ITERATIONS);
      double[] sensitivity = fitted.times(fitted.samples(), solved); // J(JᵀJ + μ)⁻¹J_vᵀℓ' · N
      double[] alpha = fitted.alpha();
      double[] derivative = new double[fitted.images()];
      for (int k = 0; k < alpha.length; k++) {
        derivative[k / fitted.classes()] += sensitivity[k] * fitted.ridge() * alpha[k];
      }
      return derivative;
    }
  }

  /** Mean of ½‖f(x) − y‖² of the model. */
  public static double loss(FittedModel fitted, Samples images) throws IOException {
    double sum = 0;
    for (double error : fitted.errors(images, fitted.delta())) {
      sum += error * error / 2;
    }
    return sum / images.size();
  }

  /**
   * The optimum where image i counts a_i times: (K + μA⁻¹)α = r, at the model's μ.
   *
   * @param weights a, [N], &gt; 0
   */
  public static Change reweighted(FittedModel fitted, Dual dual, double[] weights)
      throws IOException {
    int classes = dual.classes();
    double[] alpha = dual.residual();
    try (SymmetricMatrix system = dual.copy()) {
      system.cholesky(0).invert(); // K + μI
      for (int i = 0; i < dual.images(); i++) {
        if (!(weights[i] > 0) || weights[i] == Double.POSITIVE_INFINITY) {
          throw new IllegalArgumentException(
              "the weight of image %d is %s; it must be positive, forget images otherwise"
                  .formatted(i, weights[i]));
        }
        int at = i * classes;
        double[] block = system.read(at, at, classes, classes);
        for (int c = 0; c < classes; c++) {
          block[c * classes + c] += dual.mu() * (1 / weights[i] - 1);
        }
        system.write(at, at, classes, classes, block);
      }
      system.cholesky(0).solve(alpha, 1);
    }
    try (DeviceVector delta = fitted.engine().vector(fitted.delta().length());
        DeviceVector gradient = fitted.engine().vector(delta.length())) {
      fitted.addTransposed(fitted.samples(), alpha, delta);
      double[] errors = fitted.errors(fitted.samples(), delta);
      double loss = fitted.ridge() / 2 * delta.dot(delta);
      double[] scaled = new double[errors.length];
      for (int k = 0; k < errors.length; k++) {
        double weight = weights[k / classes] / fitted.images();
        loss += weight * errors[k] * errors[k] / 2;
        scaled[k] = -weight * errors[k];
      }
      gradient.set(delta).scale(fitted.ridge());
      fitted.addTransposed(fitted.samples(), scaled, gradient);
      float[] values = delta.toArray();
      Certificate certificate = new Certificate(loss, gradient.norm(), fitted.ridge());
      double norm = delta.norm();
      double change = delta.add(-1, fitted.delta()).norm();
      return new Change(
          values, new Receipt("gram", fitted.images(), 0, 0, 0, certificate, norm, change));
    }
  }

  /** J_vᵀℓ', ℓ' = (f(x_v) − y_v)/n, [parameters]; the caller's. */
  private static DeviceVector gradient(FittedModel fitted, Samples validation) throws IOException {
    double[] slopes = fitted.errors(validation, fitted.delta());
    for (int k = 0; k < slopes.length; k++) {
      slopes[k] /= -validation.size();
    }
    DeviceVector gradient = fitted.engine().vector(fitted.delta().length());
    try {
      fitted.addTransposed(validation, slopes, gradient);
      return gradient;
    } catch (RuntimeException | IOException e) {
      gradient.close();
      throw e;
    }
  }
}
