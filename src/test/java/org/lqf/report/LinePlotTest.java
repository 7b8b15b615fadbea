package org.lqf.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class LinePlotTest {

  private static LinePlot plot(boolean logarithmic, double[] x, double[] y) {
    return new LinePlot(
        new LinePlot.Axis("across", logarithmic),
        new LinePlot.Axis("up", logarithmic),
        List.of(new LinePlot.Curve("a < b & c", x, y)),
        List.of(new LinePlot.Mark("here", x[x.length / 2])));
  }

  /** x and y of each point of the curve, in pixels. */
  private static List<double[]> points(String svg) {
    Matcher curve = Pattern.compile("points=\"([^\"]*)\"").matcher(svg);
    assertTrue(curve.find());
    List<double[]> points = new ArrayList<>();
    for (String pair : curve.group(1).split(" ")) {
      String[] numbers = pair.split(",");
      points.add(new double[] {Double.parseDouble(numbers[0]), Double.parseDouble(numbers[1])});
    }
    return points;
  }

  @Test
  void linearAxesKeepProportions() {
    List<double[]> points =
        points(plot(false, new double[] {0, 1, 4}, new double[] {-2, 0, 2}).svg());
    double width = points.get(2)[0] - points.get(0)[0];
    assertEquals(0.25, (points.get(1)[0] - points.get(0)[0]) / width, 1e-3);
    assertEquals(points.get(1)[1], (points.get(0)[1] + points.get(2)[1]) / 2, 0.1);
    assertTrue(points.get(2)[1] < points.get(0)[1], "larger is higher");
  }

  @Test
  void logarithmicAxesKeepRatiosAndLeaveOutZero() {
    List<double[]> points =
        points(plot(true, new double[] {1e-3, 1e-2, 1, 2}, new double[] {1, 10, 1000, 0}).svg());
    assertEquals(3, points.size());
    double width = points.get(2)[0] - points.get(0)[0];
    assertEquals(1 / 3.0, (points.get(1)[0] - points.get(0)[0]) / width, 1e-3);
    assertEquals(
        2, (points.get(1)[1] - points.get(2)[1]) / (points.get(0)[1] - points.get(1)[1]), 0.01);
  }

  @Test
  void textIsEscapedAndEveryNumberIsANumber() {
    String svg = plot(false, new double[] {1, 1}, new double[] {5, 5}).svg();
    assertTrue(svg.contains("a &lt; b &amp; c"), svg);
    assertFalse(svg.contains("NaN") || svg.contains("Infinity"), svg);
  }

  @Test
  void curvesThatCannotBeDrawnAreRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () -> new LinePlot.Curve("a", new double[2], new double[3]));
    LinePlot.Axis axis = new LinePlot.Axis("x", false);
    assertThrows(
        IllegalArgumentException.class, () -> new LinePlot(axis, axis, List.of(), List.of()));
  }
}
