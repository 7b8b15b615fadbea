package org.lqf.explain;

import java.io.IOException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A prediction split over the training images: f(x) = f(x; w0) + Σᵢ k(x, xᵢ)αᵢ + rest, math.md §6.
 *
 * <p>The rest is J(x)(Δ − Jᵀα): rounding, and whatever an unfinished solver left.
 */
public final class Attribution {

  private final int classes;
  private final double[] output; // f(x) [C]
  private final double[] base; // f(x; w0) [C]
  private final double[] terms; // k(x, xᵢ)αᵢ [N, C]

  private Attribution(int classes, double[] output, double[] base, double[] terms) {
    this.classes = classes;
    this.output = output;
    this.base = base;
    this.terms = terms;
  }

  /**
   * Of one image. No Gram matrix is needed: {@link FittedModel#alpha} will do.
   *
   * @param alpha [N, C], of the dual or of the model
   * @param image [channels, height, width]
   * @param cross k(x, X), [C, N·C], see {@link CrossKernel}
   */
  public static Attribution of(FittedModel fitted, double[] alpha, float[] image, double[] cross)
      throws IOException {
    int classes = fitted.classes();
    double[] terms = new double[alpha.length];
    for (int i = 0; i < fitted.images(); i++) {
      for (int c = 0; c < classes; c++) {
        for (int d = i * classes; d < (i + 1) * classes; d++) {
          terms[i * classes + c] += cross[c * alpha.length + d] * alpha[d];
        }
      }
    }
    return new Attribution(classes, fitted.outputs(image, 1), fitted.base(image, 1), terms);
  }

  public int images() {
    return terms.length / classes;
  }

  /** f(x), [C]. */
  public double[] output() {
    return output.clone();
  }

  /** f(x; w0), what the network said before fine-tuning, [C]. */
  public double[] base() {
    return base.clone();
  }

  /** What a training image adds to the outputs, [C]. */
  public double[] term(int image) {
    return Arrays.copyOfRange(terms, image * classes, (image + 1) * classes);
  }

  /** What a training image adds to the output of one class. */
  public double term(int image, int c) {
    return terms[image * classes + c];
  }

  /** f(x) − f(x; w0) − Σ terms, [C]. */
  public double[] rest() {
    double[] rest = new double[classes];
    Arrays.setAll(rest, c -> output[c] - base[c]);
    for (int i = 0; i < terms.length; i++) {
      rest[i % classes] -= terms[i];
    }
    return rest;
  }

  /** Training images by what they add to a class, most supporting first. */
  public List<Integer> ranking(int c) {
    return IntStream.range(0, images())
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -term(i, c)))
        .toList();
  }
}
