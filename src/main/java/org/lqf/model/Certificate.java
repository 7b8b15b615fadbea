package org.lqf.model;

/**
 * What is proven about a Δ, up to the rounding of its gradient: since L is a quadratic, a gradient
 * and a lower bound of the Hessian bound how far the one optimum is.
 *
 * @param loss L(Δ)
 * @param gradientNorm ‖∇L(Δ)‖
 * @param ridge λ of the mean loss, &gt; 0
 * @param gap the certified gap, L(Δ) − L* is at most this: ⟨∇L, A⁻¹∇L⟩/2, where H ⪰ A ⪰ λI is the
 *     best bound that the solver knew
 */
public record Certificate(double loss, double gradientNorm, double ridge, double gap) {

  /** Where no more than H ⪰ λI is known: the gap is ‖∇L‖²/(2λ). */
  public Certificate(double loss, double gradientNorm, double ridge) {
    this(loss, gradientNorm, ridge, gradientNorm * gradientNorm / (2 * ridge));
  }

  /** ‖Δ − Δ*‖ is at most this, since λ/2 ‖Δ − Δ*‖² ≤ L(Δ) − L*; without an A, ‖∇L‖/λ. */
  public double distance() {
    return Math.sqrt(2 * gap / ridge);
  }
}
