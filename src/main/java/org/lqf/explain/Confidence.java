package org.lqf.explain;

import java.util.Arrays;

/**
 * From standard deviations of separation to a probability of being right: Φ(separation/t), with the
 * t under which held-out answers are most likely. One number is fitted, so a hundred answers do.
 *
 * @param temperature t &gt; 0; 1 if the Gaussian model were the truth
 */
public record Confidence(double temperature) {

  private static final double LOWEST = 0.01;
  private static final double HIGHEST = 100;
  private static final int STEPS = 60; // of a golden section search: to 1e-11 of the range

  public Confidence {
    if (!(temperature > 0)) {
      throw new IllegalArgumentException("temperature must be positive, got " + temperature);
    }
  }

  /**
   * Fits t to held-out answers, or to leave-one-out answers of the training images.
   *
   * @param separations see {@link Uncertainty#separation}, ≥ 0
   * @param right whether each answer was right
   */
  public static Confidence fit(double[] separations, boolean[] right) {
    if (separations.length == 0 || separations.length != right.length) {
      throw new IllegalArgumentException(
          "%d separations for %d answers".formatted(separations.length, right.length));
    }
    double golden = (Math.sqrt(5) - 1) / 2;
    double low = Math.log(LOWEST);
    double high = Math.log(HIGHEST);
    for (int i = 0; i < STEPS; i++) {
      double left = high - golden * (high - low);
      double middle = low + golden * (high - low);
      if (surprise(separations, right, Math.exp(left))
          < surprise(separations, right, Math.exp(middle))) {
        high = middle;
      } else {
        low = left;
      }
    }
    return new Confidence(Math.exp((low + high) / 2));
  }

  /** The probability that an answer of this separation is right, in [0.5, 1]. */
  public double of(double separation) {
    return normal(separation / temperature);
  }

  /** Mean of −log of the probability given to what came true. */
  private static double surprise(double[] separations, boolean[] right, double temperature) {
    double sum = 0;
    for (int i = 0; i < right.length; i++) {
      double probability = normal(separations[i] / temperature);
      sum -= Math.log(Math.max(1e-12, right[i] ? probability : 1 - probability));
    }
    return sum / right.length;
  }

  /**
   * Expected calibration error: mean over all answers of the difference between confidence and
   * accuracy, in groups of equal size by confidence.
   */
  public double calibrationError(double[] separations, boolean[] right, int groups) {
    Integer[] order = order(separations);
    double error = 0;
    for (int g = 0; g < groups; g++) {
      int from = g * order.length / groups;
      int end = (g + 1) * order.length / groups;
      double difference = 0;
      for (int i = from; i < end; i++) {
        difference += of(separations[order[i]]) - (right[order[i]] ? 1 : 0);
      }
      error += Math.abs(difference);
    }
    return error / order.length;
  }

  /** Indices by decreasing separation. */
  static Integer[] order(double[] separations) {
    Integer[] order = new Integer[separations.length];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, (a, b) -> Double.compare(separations[b], separations[a]));
    return order;
  }

  /**
   * Φ, the cumulative normal distribution, by the series and the continued fraction of erfc, to
   * about 1e-15 in absolute terms.
   */
  static double normal(double z) {
    double x = Math.abs(z);
    double density = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
    double upper; // 1 − Φ(x)
    if (x < 5) {
      double term = x;
      double sum = x;
      for (int n = 3; Math.abs(term) > 1e-17 * sum; n += 2) {
        term *= x * x / n;
        sum += term;
      }
      upper = 0.5 - density * sum;
    } else {
      double fraction = x;
      for (int n = 80; n > 0; n--) {
        fraction = x + n / fraction;
      }
      upper = density / fraction;
    }
    return z > 0 ? 1 - upper : upper;
  }
}
