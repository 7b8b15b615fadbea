package org.lqf.baseline;

/**
 * What all methods of a comparison have in common.
 *
 * @param steps of stochastic descent, rounded to whole epochs; 1 step is one batch
 * @param batch images of a step
 * @param budget trainings that a method may spend on its one hyper-parameter
 * @param targetScale α: squared error has targets α and 0, and its head is the probe times α
 * @param logitScale the head of cross-entropy is the probe times this
 */
public record Recipe(int steps, int batch, int budget, double targetScale, double logitScale) {

  /** A larger one saturates the softmax from the start; measured in {@code bench/results/paper}. */
  public static final double DEFAULT_LOGIT_SCALE = 5;

  public Recipe {
    if (steps < 1 || batch < 1 || budget < 1 || !(targetScale > 0) || !(logitScale > 0)) {
      throw new IllegalArgumentException(
          "steps, batch and budget must be at least 1 and the scales above 0, got %d, %d, %d, %s, %s"
              .formatted(steps, batch, budget, targetScale, logitScale));
    }
  }

  /** By which the probe is multiplied to be the head. */
  double headScale(Loss loss) {
    return loss == Loss.SQUARED_ERROR ? targetScale : logitScale;
  }

  /** Passes over n images. */
  int epochs(int n) {
    int stepsPerEpoch = (n + batch - 1) / batch;
    return (int) Math.max(1, Math.round(steps / (double) stepsPerEpoch));
  }

  /** One line that says everything. */
  String describe() {
    return "steps %d, batch %d, budget %d, target scale %s, logit scale %s"
        .formatted(steps, batch, budget, targetScale, logitScale);
  }
}
