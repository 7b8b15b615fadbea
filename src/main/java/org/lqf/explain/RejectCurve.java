package org.lqf.explain;

import java.util.ArrayList;
import java.util.List;

/**
 * Accuracy of the answers that are given if the least sure ones are not: the coverage-accuracy
 * curve of a reject option.
 *
 * @param points by decreasing coverage; the first has all answers
 */
public record RejectCurve(List<Point> points) {

  /**
   * The surest answers.
   *
   * @param coverage share of the images that get an answer, in (0, 1]
   * @param accuracy of these answers, in [0, 1]
   * @param separation of the least sure of them: the threshold
   */
  public record Point(double coverage, double accuracy, double separation) {}

  public RejectCurve {
    points = List.copyOf(points);
  }

  /** One point for each number of answers. */
  public static RejectCurve of(double[] separations, boolean[] right) {
    Integer[] order = Confidence.order(separations);
    List<Point> points = new ArrayList<>();
    int correct = 0;
    for (int i = 0; i < order.length; i++) {
      correct += right[order[i]] ? 1 : 0;
      points.add(
          0, new Point((i + 1.0) / order.length, correct / (i + 1.0), separations[order[i]]));
    }
    return new RejectCurve(points);
  }

  /** Accuracy of the surest answers, the point next to this coverage. */
  public Point at(double coverage) {
    int answers = (int) Math.max(1, Math.round(coverage * points.size()));
    return points.get(points.size() - answers);
  }

  /** Mean accuracy over all coverages: 1 is perfect. */
  public double area() {
    return points.stream().mapToDouble(Point::accuracy).average().orElse(Double.NaN);
  }
}
