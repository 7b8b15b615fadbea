package org.lqf.explain;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.lqf.solve.Progress;
import org.lqf.solve.Samples;

/**
 * Answers to images that the model was not trained on, and how far they may be off.
 *
 * @param classes C
 * @param outputs f(x), [n, C], not copied
 * @param covariances of them, [n, C, C], in units of σ², not copied
 */
public record Answers(int classes, double[] outputs, double[] covariances) {

  public Answers {
    if (covariances.length != (long) outputs.length * classes) {
      throw new IllegalArgumentException(
          "%d outputs of %d classes need as many covariances times %d, got %d"
              .formatted(outputs.length, classes, classes, covariances.length));
    }
  }

  /**
   * To some images.
   *
   * @param images in batches of at most {@link FittedModel#maxBatch}; their targets are not looked
   *     at
   * @param progress hears of every batch
   */
  public static Answers of(
      FittedModel fitted, Posterior posterior, Samples images, Progress progress)
      throws IOException {
    int[] done = new int[1];
    List<double[]> covariances = new ArrayList<>();
    try {
      images.forEach(
          Samples.IN_ORDER,
          (batch, n, targets) -> {
            covariances.add(unchecked(posterior, batch, n));
            done[0] += n;
            double fraction = done[0] / (double) images.size();
            progress.report(new Progress.Step(done[0], fraction, Double.NaN, Double.NaN));
          });
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    double[] all = covariances.stream().flatMapToDouble(Arrays::stream).toArray();
    return new Answers(fitted.classes(), fitted.outputs(images, fitted.delta()), all);
  }

  /** To each training image by the model of all the others. */
  public static Answers leaveOneOut(Dual dual, LeaveOneOut loo) {
    double[] outputs = dual.targets();
    double[] errors = loo.errors();
    for (int k = 0; k < outputs.length; k++) {
      outputs[k] -= errors[k];
    }
    return new Answers(dual.classes(), outputs, Uncertainty.leaveOneOut(dual));
  }

  /** n. */
  public int images() {
    return outputs.length / classes;
  }

  /** f(x) of one image, [C]. */
  public double[] output(int image) {
    return Arrays.copyOfRange(outputs, image * classes, (image + 1) * classes);
  }

  /** The class that an image is given. */
  public int answer(int image) {
    return Blocks.largest(outputs, image * classes, classes);
  }

  /** Whether each answer is its label, [n]. */
  public boolean[] right(int[] labels) {
    boolean[] right = new boolean[images()];
    for (int i = 0; i < right.length; i++) {
      right[i] = answer(i) == labels[i];
    }
    return right;
  }

  /**
   * σ² by which these answers are as far from their targets as predicted: the mean of eᵀ(V + I)⁻¹e
   * / C over e = y − f(x) of the images.
   *
   * @param targets y, [n, C]
   */
  public double noise(double[] targets) {
    double sum = 0;
    for (int i = 0; i < images(); i++) {
      double[] block =
          Arrays.copyOfRange(covariances, i * classes * classes, (i + 1) * classes * classes);
      double[] error = new double[classes];
      for (int c = 0; c < classes; c++) {
        block[c * classes + c] += 1;
        error[c] = targets[i * classes + c] - outputs[i * classes + c];
      }
      double[] solved = error.clone();
      Blocks.solve(block, classes, solved, 1);
      for (int c = 0; c < classes; c++) {
        sum += error[c] * solved[c];
      }
    }
    return sum / outputs.length;
  }

  /** See {@link Uncertainty#separation}, [n]. */
  public double[] separations(double noise) {
    double[] separations = new double[images()];
    Arrays.setAll(separations, i -> Uncertainty.separation(output(i), covariances, i, noise));
    return separations;
  }

  /** Standard deviation of the output of the class that an image is given, noise left out. */
  public double deviation(int image, double noise) {
    int c = answer(image);
    double variance = covariances[(image * classes + c) * classes + c];
    return Math.sqrt(noise * Math.max(0, variance));
  }

  private static double[] unchecked(Posterior posterior, float[] batch, int n) {
    try {
      return posterior.covariances(batch, n);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // a visitor cannot throw it
    }
  }
}
