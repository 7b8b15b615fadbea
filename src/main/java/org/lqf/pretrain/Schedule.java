package org.lqf.pretrain;

/** How the learning rate goes over a training, as a part of the largest. */
public enum Schedule {
  /** Up along a line in the first tenth, then down to zero along half a cosine. */
  COSINE,
  /** The whole for one half, a tenth for a quarter, a hundredth for the last (He et al. 2016). */
  STEP,
  /** The whole all the time. */
  CONSTANT;

  private static final double WARM_UP = 0.1;

  /**
   * The part in effect.
   *
   * @param step number of the step, from 0 on
   * @param steps of the whole training
   */
  public double at(long step, long steps) {
    double done = (double) step / steps;
    return switch (this) {
      case COSINE ->
          done < WARM_UP
              ? (step + 1) / Math.max(1, Math.ceil(WARM_UP * steps))
              : (1 + Math.cos(Math.PI * (done - WARM_UP) / (1 - WARM_UP))) / 2;
      case STEP -> done < 0.5 ? 1 : done < 0.75 ? 0.1 : 0.01;
      case CONSTANT -> 1;
    };
  }
}
