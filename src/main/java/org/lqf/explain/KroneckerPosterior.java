package org.lqf.explain;

import java.io.IOException;
import java.util.Arrays;
import org.lqf.curvature.Damping;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Plan;
import org.lqf.solve.Samples;

/**
 * The covariance of {@link Uncertainty} where N·C is too large for a Gram matrix: Var f(x) ≈ (σ²/N)
 * J(x)(Γ ⊗ A + λ)⁻¹J(x)ᵀ. An approximation, exact if the last linear layer alone is linearised.
 * Source: Ritter, Botev and Barber 2018 (Kronecker-factored Laplace).
 */
public final class KroneckerPosterior implements Posterior {

  private final FittedModel fitted;
  private final KroneckerFactors factors;

  private KroneckerPosterior(FittedModel fitted, KroneckerFactors factors) {
    this.fitted = fitted;
    this.factors = factors;
  }

  /** One pass over the images with a reverse pass for each class, then eigendecompositions. */
  public static KroneckerPosterior of(FittedModel fitted) throws IOException {
    KroneckerFactors factors = KroneckerFactors.create(fitted.plan(), Sharing.REDUCE);
    try {
      fitted
          .samples()
          .forEach(
              Samples.IN_ORDER,
              (images, n, targets) -> {
                fitted.plan().forward(images, n);
                factors.accumulate(fitted.plan());
              });
      factors.invert(Damping.exact(fitted.ridge()));
      return new KroneckerPosterior(fitted, factors);
    } catch (RuntimeException | IOException e) {
      factors.close();
      throw e;
    }
  }

  @Override
  public double[] covariances(float[] images, int n) {
    int block = fitted.classes() * fitted.classes();
    int length = fitted.imageLength();
    double[] all = new double[n * block];
    for (int i = 0; i < n; i++) {
      double[] one = covariance(Arrays.copyOfRange(images, i * length, (i + 1) * length));
      System.arraycopy(one, 0, all, i * block, block);
    }
    return all;
  }

  /**
   * Covariance of f(x), [C, C], in units of σ².
   *
   * @param image [channels, height, width]
   */
  public double[] covariance(float[] image) {
    Plan plan = fitted.plan();
    int classes = plan.classes();
    int length = Math.toIntExact(plan.parameters());
    double[] covariance = new double[classes * classes];
    float[] row = new float[length];
    plan.forward(image, 1);
    try (DeviceVector rows = fitted.engine().vector((long) classes * length);
        DeviceVector gradient = fitted.engine().vector(length);
        DeviceVector other = fitted.engine().vector(length);
        DeviceVector step = fitted.engine().vector(length)) {
      plan.jacobian(rows);
      for (int c = 0; c < classes; c++) {
        rows.read((long) c * length, row);
        factors.precondition(gradient.write(row), step);
        for (int d = 0; d <= c; d++) {
          rows.read((long) d * length, row);
          double value = other.write(row).dot(step) / fitted.images();
          covariance[c * classes + d] = value;
          covariance[d * classes + c] = value;
        }
      }
    }
    return covariance;
  }

  @Override
  public void close() {
    factors.close();
  }
}
