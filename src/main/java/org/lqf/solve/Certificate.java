package org.lqf.solve;

/**
 * What is proven about a Δ: since H ⪰ λI, a gradient bounds the distance to the one optimum.
 *
 * @param loss L(Δ)
 * @param gradientNorm ‖∇L(Δ)‖
 * @param ridge λ of the mean loss, &gt; 0
 * @param gap L(Δ) − L* is at most this: ‖∇L‖²/(2λ), or ⟨∇L, A⁻¹∇L⟩/2 where H ⪰ A ⪰ λI is known
 */
public record Certificate(double loss, double gradientNorm, double ridge, double gap) {

  /** Where no more than H ⪰ λI is known. */
  public Certificate(double loss, double gradientNorm, double ridge) {
    this(loss, gradientNorm, ridge, gradientNorm * gradientNorm / (2 * ridge));
  }

  /** ‖Δ − Δ*‖ is at most this: ‖∇L‖/λ. */
  public double distance() {
    return gradientNorm / ridge;
  }
}
