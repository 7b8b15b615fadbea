package org.lqf.baseline;

/**
 * What all methods of a comparison have in common.
 *
 * @param steps of stochastic descent, rounded to whole epochs; 1 step is one batch
 * @param batch images of a step
 * @param budget trainings that a method may spend on its one hyper-parameter
 * @param targetScale α: squared error has targets α and 0, and the probe is the head times α
 */
public record Recipe(int steps, int batch, int budget, double targetScale) {

  public Recipe {
    if (steps < 1 || batch < 1 || budget < 1 || !(targetScale > 0)) {
      throw new IllegalArgumentException(
          "steps, batch and budget must be at least 1 and the target scale above 0, got %d, %d, %d and %s"
              .formatted(steps, batch, budget, targetScale));
    }
  }

  /** Passes over n images. */
  int epochs(int n) {
    int stepsPerEpoch = (n + batch - 1) / batch;
    return (int) Math.max(1, Math.round(steps / (double) stepsPerEpoch));
  }

  /** One line that says everything. */
  String describe() {
    return "steps %d, batch %d, budget %d, target scale %s"
        .formatted(steps, batch, budget, targetScale);
  }
}
