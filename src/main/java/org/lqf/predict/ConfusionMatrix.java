package org.lqf.predict;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * How often images of one class were taken for another: the counts behind an accuracy. Immutable.
 */
public final class ConfusionMatrix {

  /**
   * Images of one class that were taken for another.
   *
   * @param label the class they belong to
   * @param predicted the class they were given
   * @param count of these images
   * @param of all images of {@code label}
   */
  public record Confusion(String label, String predicted, int count, int of) {}

  private final List<String> labels;
  private final int[][] counts; // [true class][predicted class]

  /**
   * Copies and checks.
   *
   * @param labels [classes]
   * @param counts [true class][predicted class], ≥ 0
   */
  public ConfusionMatrix(List<String> labels, int[][] counts) {
    this.labels = List.copyOf(labels);
    int classes = this.labels.size();
    if (counts.length != classes) {
      throw new IllegalArgumentException(
          "%d rows of counts for %d classes".formatted(counts.length, classes));
    }
    this.counts = new int[classes][];
    for (int label = 0; label < classes; label++) {
      this.counts[label] = counts[label].clone();
      if (counts[label].length != classes) {
        throw new IllegalArgumentException(
            "class \"%s\": %d counts for %d classes"
                .formatted(this.labels.get(label), counts[label].length, classes));
      }
      for (int count : counts[label]) {
        if (count < 0) {
          throw new IllegalArgumentException(
              "class \"%s\": a count of %d".formatted(this.labels.get(label), count));
        }
      }
    }
  }

  public List<String> labels() {
    return labels;
  }

  /** Images of class {@code label} that were taken for class {@code predicted}, by index. */
  public int count(int label, int predicted) {
    return counts[label][predicted];
  }

  /** All images. */
  public int images() {
    int sum = 0;
    for (int label = 0; label < counts.length; label++) {
      sum += images(label);
    }
    return sum;
  }

  /** Images of one class, by index. */
  public int images(int label) {
    int sum = 0;
    for (int count : counts[label]) {
      sum += count;
    }
    return sum;
  }

  /** Share of all images that got their own class, in [0,1]; NaN without images. */
  public double accuracy() {
    int right = 0;
    for (int label = 0; label < counts.length; label++) {
      right += counts[label][label];
    }
    return right / (double) images();
  }

  /** Share of the images of one class that got it, in [0,1]; NaN without images of it. */
  public double accuracy(int label) {
    return counts[label][label] / (double) images(label);
  }

  /** The pairs of classes confused most often, most frequent first; equal ones in label order. */
  public List<Confusion> mostConfused(int limit) {
    List<Confusion> pairs = new ArrayList<>();
    for (int label = 0; label < counts.length; label++) {
      for (int predicted = 0; predicted < counts.length; predicted++) {
        if (label != predicted && counts[label][predicted] > 0) {
          pairs.add(
              new Confusion(
                  labels.get(label),
                  labels.get(predicted),
                  counts[label][predicted],
                  images(label)));
        }
      }
    }
    pairs.sort(Comparator.comparingInt(Confusion::count).reversed());
    return List.copyOf(pairs.subList(0, Math.min(limit, pairs.size())));
  }
}
