package org.lqf.model;

import java.util.Arrays;

/**
 * Weights and bias of one conv2d or linear node while a network is read, in double precision so
 * that folding rounds once.
 *
 * @param weight [out, in] row-major
 * @param bias [out]
 */
record Affine(double[] weight, double[] bias) {

  /**
   * Folds an inference batch norm that follows: with σ = √(variance + eps), w' = γ·w/σ and b' = β +
   * γ·(b − mean)/σ give γ·(w∗h + b − mean)/σ + β for every h.
   *
   * @param gamma [out], scale
   * @param beta [out], shift
   * @param mean [out], running mean
   * @param variance [out], running variance, ≥ 0
   */
  Affine fold(double[] gamma, double[] beta, double[] mean, double[] variance, double eps) {
    int out = bias.length;
    int in = weight.length / out;
    double[] foldedWeight = weight.clone();
    double[] foldedBias = new double[out];
    for (int o = 0; o < out; o++) {
      double sigma = Math.sqrt(variance[o] + eps);
      if (!(sigma > 0)) { // also NaN
        throw new IllegalArgumentException(
            "channel %d: running_var %s + eps %s is not positive".formatted(o, variance[o], eps));
      }
      double scale = gamma[o] / sigma;
      for (int i = 0; i < in; i++) {
        foldedWeight[o * in + i] *= scale;
      }
      foldedBias[o] = beta[o] + scale * (bias[o] - mean[o]);
    }
    return new Affine(foldedWeight, foldedBias);
  }

  /** Rounds into {@code w0} where the block says. */
  void store(ParameterBlock block, float[] w0) {
    for (int i = 0; i < weight.length; i++) {
      w0[block.weightOffset() + i] = (float) weight[i];
    }
    for (int o = 0; o < bias.length; o++) {
      w0[block.biasOffset() + o] = (float) bias[o];
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Affine that
        && Arrays.equals(weight, that.weight)
        && Arrays.equals(bias, that.bias);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(weight) + Arrays.hashCode(bias);
  }

  @Override
  public String toString() {
    return "Affine[%d weights, %d biases]".formatted(weight.length, bias.length);
  }
}
