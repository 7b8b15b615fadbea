package org.lqf.explain;

/**
 * What turns covariances into probabilities, learnt from answers to images that the model was not
 * trained on.
 *
 * @param noise σ², in squared units of outputs
 * @param confidence from separations to probabilities
 */
public record Calibration(double noise, Confidence confidence) {

  /**
   * Fits both.
   *
   * @param answers held-out ones, or {@link Answers#leaveOneOut}
   * @param labels of the images, [n]
   * @param scale target of an image for its class; 0 for the others
   */
  public static Calibration fit(Answers answers, int[] labels, double scale) {
    double[] targets = new double[answers.outputs().length];
    for (int i = 0; i < labels.length; i++) {
      targets[i * answers.classes() + labels[i]] = scale;
    }
    double noise = answers.noise(targets);
    return new Calibration(
        noise, Confidence.fit(answers.separations(noise), answers.right(labels)));
  }

  /** The probability that each answer is right, in [0.5, 1], [n]. */
  public double[] confidences(Answers answers) {
    double[] confidences = answers.separations(noise);
    for (int i = 0; i < confidences.length; i++) {
      confidences[i] = confidence.of(confidences[i]);
    }
    return confidences;
  }
}
