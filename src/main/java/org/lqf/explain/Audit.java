package org.lqf.explain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import org.lqf.solve.Progress;

/**
 * What is wrong with the training images, from the {@link Dual} alone: labels that the other images
 * contradict, pictures that are alike under different labels, images that help and images that
 * harm.
 *
 * @param leaveOneOut of the same dual
 */
public record Audit(Dual dual, LeaveOneOut leaveOneOut) {

  private static final int ROWS = 1 << 23; // doubles of G on the heap at a time

  /** Two images and how alike they are, in [−1, 1]. */
  public record Pair(int first, int second, double cosine) {}

  public static Audit of(Dual dual) {
    return new Audit(dual, LeaveOneOut.of(dual));
  }

  /** All images, likely label errors first: by increasing margin of the given label. */
  public List<Integer> suspects() {
    return order(leaveOneOut::margin);
  }

  /** Pairs of different labels that are at least this alike, most alike first. */
  public List<Pair> contradictions(double cosine, int limit) {
    int[] labels = dual.labels();
    List<Pair> pairs = new ArrayList<>();
    for (int i = 0; i < labels.length; i++) {
      for (int j = i + 1; j < labels.length; j++) {
        if (labels[i] != labels[j] && dual.cosine(i, j) >= cosine) {
          pairs.add(new Pair(i, j, dual.cosine(i, j)));
        }
      }
    }
    pairs.sort(Comparator.comparingDouble(Pair::cosine).reversed());
    return List.copyOf(pairs.subList(0, Math.min(limit, pairs.size())));
  }

  /** The other image that is most alike, or −1 if there is no other. */
  public int mostAlike(int image) {
    int best = -1;
    for (int j = 0; j < dual.images(); j++) {
      if (j != image && (best < 0 || dual.cosine(image, j) > dual.cosine(image, best))) {
        best = j;
      }
    }
    return best;
  }

  /**
   * For each image, by how much the leave-one-out loss of the other images would rise, summed,
   * without it: positive, it helps; negative, it harms. Exact, from the closed form of leaving two
   * out: (G_jj − G_ji G_ii⁻¹ G_ij)⁻¹(α_j − G_ji G_ii⁻¹ α_i) is the error of j without i and j. Cost
   * N²C³.
   *
   * @param progress hears of every image
   * @return [N]
   */
  public double[] values(Progress progress) {
    int images = dual.images();
    int classes = dual.classes();
    double[] alpha = dual.alpha();
    double[] errors = leaveOneOut.errors(); // G_ii⁻¹ α_i
    double[] losses = new double[images];
    Arrays.setAll(losses, leaveOneOut::loss);
    double[][] diagonal = new double[images][];
    Arrays.setAll(diagonal, i -> dual.block(i));
    double[] values = new double[images];
    int length = classes * dual.side();
    int together = Math.max(1, ROWS / length);
    double[] several = {};
    for (int i = 0; i < images; i++) {
      int part = i % together;
      if (part == 0) {
        int first = i * classes;
        int end = Math.min(images, i + together) * classes;
        several = dual.rows(IntStream.range(first, end).toArray());
      }
      double[] rows = // G_i: [C, N·C]
          Arrays.copyOfRange(several, part * length, (part + 1) * length);
      int without = i;
      values[i] =
          IntStream.range(0, images)
              .parallel()
              .filter(j -> j != without)
              .mapToDouble(
                  j -> loss(rows, diagonal, alpha, errors, without, j, classes) - losses[j])
              .sum();
      double fraction = (i + 1) / (double) images;
      progress.report(new Progress.Step(i + 1, fraction, Double.NaN, Double.NaN));
    }
    return values;
  }

  /** ½‖y_j − f(x_j)‖² of the model without images i and j. */
  private static double loss(
      double[] rows,
      double[][] diagonal,
      double[] alpha,
      double[] errors,
      int i,
      int j,
      int classes) {
    int side = alpha.length;
    double[] coupling = new double[classes * classes]; // G_ij
    for (int c = 0; c < classes; c++) {
      System.arraycopy(rows, c * side + j * classes, coupling, c * classes, classes);
    }
    double[] solved = coupling.clone(); // G_ii⁻¹ G_ij
    Blocks.solve(diagonal[i].clone(), classes, solved, classes);
    double[] block = diagonal[j].clone();
    double[] right = Arrays.copyOfRange(alpha, j * classes, (j + 1) * classes);
    for (int a = 0; a < classes; a++) { // a class of i
      for (int b = 0; b < classes; b++) { // a class of j
        double factor = coupling[a * classes + b];
        right[b] -= factor * errors[i * classes + a];
        for (int c = 0; c < classes; c++) {
          block[b * classes + c] -= factor * solved[a * classes + c];
        }
      }
    }
    Blocks.solve(block, classes, right, 1);
    double sum = 0;
    for (double error : right) {
      sum += error * error;
    }
    return sum / 2;
  }

  /** Indices of the images by an increasing number. */
  List<Integer> order(IntToDoubleFunction number) {
    return IntStream.range(0, dual.images())
        .boxed()
        .sorted(Comparator.comparingDouble(i -> number.applyAsDouble(i)))
        .toList();
  }

  /**
   * Area under the receiver operating characteristic of a ranking: the probability that a wrong
   * image stands before a right one.
   *
   * @param ranking indices, most suspect first
   * @param wrong by index
   */
  public static double areaUnderCurve(List<Integer> ranking, boolean[] wrong) {
    long behind = 0; // pairs of a wrong image and a right one behind it
    long wrongs = 0;
    long rights = 0;
    for (int index : ranking) {
      if (wrong[index]) {
        wrongs++;
      } else {
        rights++;
        behind += wrongs;
      }
    }
    return behind / ((double) wrongs * rights);
  }
}
