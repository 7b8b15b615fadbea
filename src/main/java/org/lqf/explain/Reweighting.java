package org.lqf.explain;

import java.io.IOException;
import java.util.Arrays;
import org.lqf.solve.Samples;

/**
 * One step down the {@link DatasetDerivative}: images whose weight would raise the loss on some
 * validation images count less, the others more, and the model is solved anew. Source: DIVA (2022),
 * with a step of fixed length in place of their search.
 *
 * @param derivative ∂L_val/∂a_i at a = 1, [N]
 * @param weights a, [N], 1 for an image whose derivative is 0
 * @param lossBefore mean of ½‖f(x) − y‖² over the validation images
 * @param predictedChange of that loss, by the derivative alone: Σ derivative·(a − 1)
 * @param change the optimum for these weights
 */
public record Reweighting(
    double[] derivative,
    double[] weights,
    double lossBefore,
    double predictedChange,
    Change change) {

  private static final double LEAST = 0.05; // a weight of 0 would be a removal
  private static final double MOST = 2;

  /**
   * Takes the step aᵢ = 1 − dᵢ / max|d|, no lower than 0.05.
   *
   * @param validation with targets; not the images that the result is judged by
   */
  public static Reweighting of(FittedModel fitted, Dual dual, Samples validation)
      throws IOException {
    double[] derivative = DatasetDerivative.of(fitted, dual, validation);
    double largest = Arrays.stream(derivative).map(Math::abs).max().orElse(0);
    double[] weights = new double[derivative.length];
    double predicted = 0;
    for (int i = 0; i < weights.length; i++) {
      double step = largest == 0 ? 0 : derivative[i] / largest;
      weights[i] = Math.min(MOST, Math.max(LEAST, 1 - step));
      predicted += derivative[i] * (weights[i] - 1);
    }
    return new Reweighting(
        derivative,
        weights,
        DatasetDerivative.loss(fitted, validation),
        predicted,
        DatasetDerivative.reweighted(fitted, dual, weights));
  }
}
