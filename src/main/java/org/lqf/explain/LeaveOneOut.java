package org.lqf.explain;

import java.util.Arrays;

/**
 * What the model says of each training image when it was trained on all the others, in closed form:
 * yᵢ − f₋ᵢ(xᵢ) = (Gᵢᵢ)⁻¹αᵢ, a C×C system an image; math.md §6, DIVA (2022).
 *
 * <p>μ is that of the {@link Dual}. A model tuned anew on N − 1 images at the same λ has μ = λ(N −
 * 1): take {@code dual.at(λ(N − 1))} for that.
 */
public final class LeaveOneOut {

  private final int classes;
  private final double[] targets; // [N, C]
  private final double[] errors; // yᵢ − f₋ᵢ(xᵢ) [N, C]
  private final double[] residuals; // yᵢ − f(xᵢ) [N, C]

  private LeaveOneOut(int classes, double[] targets, double[] errors, double[] residuals) {
    this.classes = classes;
    this.targets = targets;
    this.errors = errors;
    this.residuals = residuals;
  }

  /** All images; cost N·C³ and no pass over the images. */
  public static LeaveOneOut of(Dual dual) {
    int classes = dual.classes();
    double[] errors = dual.alpha();
    for (int i = 0; i < dual.images(); i++) {
      double[] error = Arrays.copyOfRange(errors, i * classes, (i + 1) * classes);
      Blocks.solve(dual.block(i), classes, error, 1);
      System.arraycopy(error, 0, errors, i * classes, classes);
    }
    double[] residuals = dual.alpha();
    for (int i = 0; i < residuals.length; i++) {
      residuals[i] *= dual.mu();
    }
    return new LeaveOneOut(classes, dual.targets(), errors, residuals);
  }

  public int images() {
    return targets.length / classes;
  }

  public int classes() {
    return classes;
  }

  /** yᵢ − f₋ᵢ(xᵢ), [N, C], a fresh copy. */
  public double[] errors() {
    return errors.clone();
  }

  /** f₋ᵢ(xᵢ), [C]. */
  public double[] outputs(int image) {
    double[] out = new double[classes];
    Arrays.setAll(out, c -> targets[image * classes + c] - errors[image * classes + c]);
    return out;
  }

  /** f(xᵢ) of the model that knows the image, [C]. */
  public double[] fitted(int image) {
    double[] out = new double[classes];
    Arrays.setAll(out, c -> targets[image * classes + c] - residuals[image * classes + c]);
    return out;
  }

  /** The label the image was given. */
  public int label(int image) {
    return Blocks.largest(targets, image * classes, classes);
  }

  /** The class that the others would give it. */
  public int predicted(int image) {
    return Blocks.largest(outputs(image), 0, classes);
  }

  /** ½‖yᵢ − f₋ᵢ(xᵢ)‖². */
  public double loss(int image) {
    return halfSquare(errors, image);
  }

  /**
   * By how much the given label's output lies above the largest other one, in the eyes of the other
   * images; far below 0: a likely label error.
   */
  public double margin(int image) {
    return Blocks.margin(outputs(image), 0, classes, label(image));
  }

  /** ‖f(xᵢ) − f₋ᵢ(xᵢ)‖: how much the model's answer for an image comes from the image itself. */
  public double selfInfluence(int image) {
    double sum = 0;
    for (int c = image * classes; c < (image + 1) * classes; c++) {
      sum += (errors[c] - residuals[c]) * (errors[c] - residuals[c]);
    }
    return Math.sqrt(sum);
  }

  /** Mean of ½‖yᵢ − f₋ᵢ(xᵢ)‖². */
  public double meanLoss() {
    double sum = 0;
    for (int i = 0; i < images(); i++) {
      sum += loss(i);
    }
    return sum / images();
  }

  /** Share of images that the others give the label they have, in [0, 1]. */
  public double accuracy() {
    int right = 0;
    for (int i = 0; i < images(); i++) {
      right += predicted(i) == label(i) ? 1 : 0;
    }
    return right / (double) images();
  }

  /** Mean of ½‖yᵢ − f(xᵢ)‖² of the model that knows all images. */
  public double fittedLoss() {
    double sum = 0;
    for (int i = 0; i < images(); i++) {
      sum += halfSquare(residuals, i);
    }
    return sum / images();
  }

  private double halfSquare(double[] values, int image) {
    double sum = 0;
    for (int c = image * classes; c < (image + 1) * classes; c++) {
      sum += values[c] * values[c];
    }
    return sum / 2;
  }
}
