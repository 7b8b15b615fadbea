package org.lqf.solve;

/** Hears of every iteration; may end the solver by an exception of its own. */
@FunctionalInterface
public interface Progress {

  Progress NONE = step -> {};

  /**
   * Where a solver stands.
   *
   * @param iteration finished ones, from 0 on: CG steps, epochs, or tiles of the Gram matrix
   * @param fraction of the work that is done, in [0, 1], an estimate
   * @param loss L(Δ), or NaN where it is not known
   * @param gradientNorm ‖∇L(Δ)‖, or NaN where it is not known
   */
  record Step(int iteration, double fraction, double loss, double gradientNorm) {}

  void report(Step step);
}
