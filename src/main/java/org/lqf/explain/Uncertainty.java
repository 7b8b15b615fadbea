package org.lqf.explain;

import java.util.Arrays;

/**
 * How far a prediction may be off: the posterior covariance of f(x) under the Gaussian prior that
 * the ridge is, Var f(x) = (σ²/μ)[k(x, x) − k(x, X) G k(X, x)], math.md §6; C×C a test image.
 *
 * <p>Everything here is in units of σ², the variance of the noise of the targets; {@link #noise}
 * estimates it from the training images alone.
 */
public final class Uncertainty {

  private Uncertainty() {}

  /**
   * σ² by which the leave-one-out errors are as large as predicted: the mean of αᵢᵀ(Gᵢᵢ)⁻¹αᵢ·μ/C,
   * since the covariance of yᵢ − f₋ᵢ(xᵢ) is σ²(μGᵢᵢ)⁻¹.
   */
  public static double noise(Dual dual, LeaveOneOut loo) {
    double[] alpha = dual.alpha();
    double[] errors = loo.errors();
    double sum = 0;
    for (int k = 0; k < alpha.length; k++) {
      sum += alpha[k] * errors[k];
    }
    return dual.mu() * sum / alpha.length;
  }

  /**
   * Covariances of f(x) of some images.
   *
   * @param cross k(x, X), [n·C, N·C], see {@link CrossKernel#forEach}
   * @param own k(x, x), [n, C, C]
   * @return [n, C, C], in units of σ²
   */
  public static double[] covariances(Dual dual, double[] cross, double[] own) {
    int classes = dual.classes();
    int side = dual.side();
    int rows = cross.length / side;
    double[] products = dual.multiply(Blocks.transpose(cross, rows, side), rows); // [N·C, n·C]
    double[] covariances = own.clone();
    for (int k = 0; k < side; k++) {
      for (int row = 0; row < rows; row++) {
        int first = row / classes * classes; // of the image
        double factor = cross[row * side + k];
        for (int c = 0; c < classes; c++) {
          covariances[row * classes + c] -= factor * products[k * rows + first + c];
        }
      }
    }
    for (int i = 0; i < covariances.length; i++) {
      covariances[i] /= dual.mu();
    }
    return covariances;
  }

  /**
   * Covariances of f₋ᵢ(xᵢ) of the training images, as seen by the others: (μGᵢᵢ)⁻¹ − I.
   *
   * @return [N, C, C], in units of σ²
   */
  public static double[] leaveOneOut(Dual dual) {
    int classes = dual.classes();
    double[] covariances = new double[dual.side() * classes];
    for (int i = 0; i < dual.images(); i++) {
      double[] inverse = new double[classes * classes];
      for (int c = 0; c < classes; c++) {
        inverse[c * classes + c] = 1;
      }
      Blocks.solve(dual.block(i), classes, inverse, classes);
      for (int c = 0; c < classes * classes; c++) {
        double unit = c / classes == c % classes ? 1 : 0;
        covariances[i * classes * classes + c] = inverse[c] / dual.mu() - unit;
      }
    }
    return covariances;
  }

  /**
   * How sure an answer is, in standard deviations: the difference between the largest and the
   * second largest output, divided by the standard deviation of that difference.
   *
   * @param outputs [C]
   * @param covariances [n, C, C] in units of σ², of which image {@code index} is meant
   * @param noise σ²
   */
  public static double separation(double[] outputs, double[] covariances, int index, double noise) {
    int classes = outputs.length;
    int best = Blocks.largest(outputs, 0, classes);
    double[] others = outputs.clone();
    others[best] = Double.NEGATIVE_INFINITY;
    int second = Blocks.largest(others, 0, classes);
    double[] block =
        Arrays.copyOfRange(covariances, index * classes * classes, (index + 1) * classes * classes);
    double variance =
        block[best * classes + best]
            + block[second * classes + second]
            - block[best * classes + second]
            - block[second * classes + best];
    // Both targets carry noise of their own.
    return (outputs[best] - outputs[second]) / Math.sqrt(noise * (Math.max(0, variance) + 2));
  }
}
