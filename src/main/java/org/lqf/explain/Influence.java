package org.lqf.explain;

import java.util.Arrays;

/**
 * What a prediction would become without one training image, for each of them: f₋ᵢ(x) − f(x) =
 * −[k(x, X)G]ᵢ (Gᵢᵢ)⁻¹αᵢ, at fixed μ; math.md §6. Exact, unlike influence functions of ordinary
 * networks.
 */
public final class Influence {

  private final int classes;
  private final double[] effects; // [N, C]

  private Influence(int classes, double[] effects) {
    this.classes = classes;
    this.effects = effects;
  }

  /**
   * Of one test image.
   *
   * @param loo of the same dual
   * @param cross k(x, X), [C, N·C], see {@link CrossKernel}
   */
  public static Influence of(Dual dual, LeaveOneOut loo, double[] cross) {
    int classes = dual.classes();
    double[] products =
        dual.multiply(Blocks.transpose(cross, classes, dual.side()), classes); // G·k(X, x)
    double[] errors = loo.errors();
    double[] effects = new double[dual.side()];
    for (int i = 0; i < dual.images(); i++) {
      for (int d = i * classes; d < (i + 1) * classes; d++) {
        for (int c = 0; c < classes; c++) {
          effects[i * classes + c] -= products[d * classes + c] * errors[d];
        }
      }
    }
    return new Influence(classes, effects);
  }

  /** f₋ᵢ(x) − f(x), [C]. */
  public double[] effect(int image) {
    return Arrays.copyOfRange(effects, image * classes, (image + 1) * classes);
  }

  /** The same for one class. */
  public double effect(int image, int c) {
    return effects[image * classes + c];
  }
}
