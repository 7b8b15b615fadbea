package org.lqf.pretrain;

/**
 * How {@link WeightSgd} walks.
 *
 * @param epochs passes over the images, ≥ 1
 * @param batch images of a step, ≥ 2; those left over at the end of an epoch wait for another one
 * @param rate the largest learning rate, &gt; 0
 * @param schedule how the rate goes
 * @param momentum in [0, 1)
 * @param nesterov whether the step looks ahead along the velocity
 * @param weightDecay times the parameters is added to the gradient, ≥ 0
 * @param augment whether images are shifted and flipped anew in every epoch
 * @param readers threads that decode images; no result depends on it
 * @param seed of the order and the augmentation
 */
public record SgdConfig(
    int epochs,
    int batch,
    double rate,
    Schedule schedule,
    double momentum,
    boolean nesterov,
    double weightDecay,
    boolean augment,
    int readers,
    long seed) {

  public SgdConfig {
    atLeast(1, "epochs", epochs);
    atLeast(2, "batch", batch);
    atLeast(1, "readers", readers);
    if (!(rate > 0 && rate < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("learning rate must be finite and positive, got " + rate);
    }
    if (!(momentum >= 0 && momentum < 1)) {
      throw new IllegalArgumentException("momentum must lie in [0, 1), got " + momentum);
    }
    if (!(weightDecay >= 0 && weightDecay < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(
          "weight decay must be finite and at least 0, got " + weightDecay);
    }
  }

  /** Everything that decides the result. */
  String key() {
    return new SgdConfig(
            epochs, batch, rate, schedule, momentum, nesterov, weightDecay, augment, 1, seed)
        .toString();
  }

  private static void atLeast(int least, String what, int value) {
    if (value < least) {
      throw new IllegalArgumentException(
          "%s must be at least %d, got %d".formatted(what, least, value));
    }
  }
}
