package org.lqf.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.lqf.explain.Attribution;
import org.lqf.explain.Influence;

/**
 * Why one image was answered as it was. Numbers are scores: outputs divided by the target scale.
 *
 * @param image the file
 * @param labels one per class
 * @param asked the class whose score is explained
 * @param influence null where no Gram matrix was made
 * @param estimates changes of the output that is asked about without each training image, to first
 *     order; null where these were not asked for
 * @param scale of the targets
 */
record Explanation(
    Path image,
    List<String> labels,
    int asked,
    Attribution split,
    @Nullable Influence influence,
    double @Nullable [] estimates,
    double scale) {

  /** Of a prediction: more is no rounding, but a solver that stopped before the optimum. */
  static final double ROUNDING = 1e-3;

  double score(int c) {
    return split.output()[c] / scale;
  }

  double base(int c) {
    return split.base()[c] / scale;
  }

  /** What the training images add to a class together. */
  double terms(int c) {
    return IntStream.range(0, split.images()).mapToDouble(i -> split.term(i, c)).sum() / scale;
  }

  /** What is missing in base and terms. */
  double rest(int c) {
    return split.rest()[c] / scale;
  }

  /** What a training image adds to the class that is asked about. */
  double term(int i) {
    return split.term(i, asked) / scale;
  }

  int predicted() {
    return largest(split.output());
  }

  /** ‖rest‖ / ‖output‖: 0 where base and terms sum to the prediction. */
  double sumError() {
    return norm(split.rest()) / norm(split.output());
  }

  /** The score of the class that is asked about, of the model without a training image. */
  double without(Influence by, int i) {
    return score(asked) + by.effect(i, asked) / scale;
  }

  /** What is known of the score that is asked about without a training image; empty: nothing. */
  String withoutIt(int i) {
    if (influence != null) {
      return "without it %.3f (%s)"
          .formatted(without(influence, i), labels.get(answerWithout(influence, i)));
    }
    return estimates == null
        ? ""
        : "without it about %.3f".formatted(score(asked) + estimates[i] / scale);
  }

  /** The class that the model without a training image would answer. */
  int answerWithout(Influence by, int i) {
    double[] output = split.output();
    double[] effect = by.effect(i);
    for (int c = 0; c < output.length; c++) {
      output[c] += effect[c];
    }
    return largest(output);
  }

  /** Training images without any of which the answer would be another one. */
  List<Integer> decisive() {
    Influence by = influence;
    return by == null
        ? List.of()
        : IntStream.range(0, split.images())
            .filter(i -> answerWithout(by, i) != predicted())
            .boxed()
            .toList();
  }

  /** Training images that add to the score, the largest first. */
  List<Integer> supporting(int limit) {
    return split.ranking(asked).stream().filter(i -> term(i) > 0).limit(limit).toList();
  }

  /** Training images that take from the score, the largest first. */
  List<Integer> opposing(int limit) {
    List<Integer> order = new ArrayList<>(split.ranking(asked));
    Collections.reverse(order);
    return order.stream().filter(i -> term(i) < 0).limit(limit).toList();
  }

  private static int largest(double[] values) {
    return IntStream.range(0, values.length)
        .reduce((a, b) -> values[b] > values[a] ? b : a)
        .orElse(0);
  }

  private static double norm(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value * value;
    }
    return Math.sqrt(sum);
  }
}
