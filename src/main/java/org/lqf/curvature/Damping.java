package org.lqf.curvature;

/**
 * What is added to the curvature before it is inverted. It is separate from the ridge of the
 * problem: a ridge changes the optimum, a damping only the way there.
 *
 * @param value γ &gt; 0, in units of the Gauss-Newton matrix
 * @param kind how it enters
 */
public record Damping(double value, Kind kind) {

  /** How a damping enters the inverse. */
  public enum Kind {
    /**
     * (Γ + √γ/π I)⁻¹ ⊗ (A + π√γ I)⁻¹ with π² = (tr A / d_A) / (tr Γ / d_Γ): two Cholesky
     * factorisations. Martens &amp; Grosse 2015, §6.3.
     */
    FACTORED,
    /** (Γ ⊗ A + γ I)⁻¹ by two eigendecompositions: what the factored form approximates. */
    EXACT
  }

  public Damping {
    if (!(value > 0) || value == Double.POSITIVE_INFINITY) {
      throw new IllegalArgumentException("damping must be positive and finite, got " + value);
    }
  }

  public static Damping factored(double value) {
    return new Damping(value, Kind.FACTORED);
  }

  public static Damping exact(double value) {
    return new Damping(value, Kind.EXACT);
  }
}
