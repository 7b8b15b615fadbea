package org.lqf.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import org.jspecify.annotations.Nullable;
import org.lqf.explain.Answers;
import org.lqf.explain.Calibration;
import org.lqf.explain.RejectCurve;
import org.lqf.model.LinearisedModel;
import org.lqf.report.Block;
import org.lqf.report.LinePlot;
import org.lqf.report.Page;

/**
 * Whether a model knows on test images when it is right.
 *
 * @param route to the covariances
 * @param from what it was calibrated on
 * @param noise σ, in units of scores
 * @param error expected calibration error, in [0, 1]
 * @param meanConfidence over the test images
 */
record SurenessScore(
    String route,
    String from,
    Calibration calibration,
    double noise,
    double error,
    double meanConfidence,
    RejectCurve curve) {

  private static final int GROUPS = 10; // of the calibration error
  private static final double[] COVERAGES = {1, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.1};

  /**
   * @param labels of the test images
   */
  static SurenessScore of(Sureness sureness, Answers answers, int[] labels, LinearisedModel model) {
    Calibration calibration = sureness.calibration();
    double[] separations = answers.separations(calibration.noise());
    boolean[] right = answers.right(labels);
    int groups = Math.min(GROUPS, right.length);
    return new SurenessScore(
        sureness.route(),
        sureness.from(),
        calibration,
        Math.sqrt(calibration.noise()) / model.fit().targetScale(),
        calibration.confidence().calibrationError(separations, right, groups),
        DoubleStream.of(calibration.confidences(answers)).average().orElse(Double.NaN),
        RejectCurve.of(separations, right));
  }

  private double confidence(RejectCurve.Point point) {
    return calibration.confidence().of(point.separation());
  }

  Metrics metrics(Metrics values) {
    List<Map<String, @Nullable Object>> points = new ArrayList<>();
    for (RejectCurve.Point point : curve.points()) {
      points.add(
          new Metrics()
              .put("coverage", point.coverage())
              .put("accuracy", point.accuracy())
              .put("confidence", confidence(point))
              .values());
    }
    return values
        .put("posterior", route)
        .put("calibratedOn", from)
        .put("noise", noise)
        .put("temperature", calibration.confidence().temperature())
        .put("calibrationError", error)
        .put("meanConfidence", meanConfidence)
        .put("rejectArea", curve.area())
        .put("rejectCurve", points);
  }

  void print(PrintWriter out) {
    out.println();
    new ResultTable(out)
        .line("posterior", route + ", calibrated on " + from)
        .line("noise", "σ = %.3g of a score".formatted(noise))
        .line(
            "calibration",
            "mean confidence %.1f %%, accuracy %.1f %%, expected calibration error %.1f points"
                .formatted(100 * meanConfidence, 100 * curve.at(1).accuracy(), 100 * error));
    out.println();
    out.println("answers given   accuracy   at --reject-below");
    for (double coverage : COVERAGES) {
      RejectCurve.Point point = curve.at(coverage);
      out.printf(
          "%11.1f %% %8.1f %%   %.4f%n",
          100 * point.coverage(), 100 * point.accuracy(), confidence(point));
    }
    out.flush();
  }

  Page page() {
    double[] coverage = curve.points().stream().mapToDouble(p -> 100 * p.coverage()).toArray();
    double[] accuracy = curve.points().stream().mapToDouble(p -> 100 * p.accuracy()).toArray();
    double[] confidence = curve.points().stream().mapToDouble(p -> 100 * confidence(p)).toArray();
    LinePlot plot =
        new LinePlot(
            new LinePlot.Axis("answers given, %", false),
            new LinePlot.Axis("%", false),
            List.of(
                new LinePlot.Curve("accuracy of these answers", coverage, accuracy),
                new LinePlot.Curve("confidence of the least sure", coverage, confidence)),
            List.of());
    List<List<String>> rows = new ArrayList<>();
    for (double part : COVERAGES) {
      RejectCurve.Point point = curve.at(part);
      rows.add(
          List.of(
              "%.1f %%".formatted(100 * point.coverage()),
              "%.1f %%".formatted(100 * point.accuracy()),
              "%.4f".formatted(confidence(point))));
    }
    return new Page(
        "How sure the model is",
        "Accuracy on %d test images if the least sure answers are not given. Covariances: %s; calibrated on %s; expected calibration error %.1f points."
            .formatted(curve.points().size(), route, from, 100 * error),
        List.of(
            new Page.Section(
                "Accuracy by coverage",
                List.of(
                    new Block.Picture(
                        plot, "Accuracy by coverage; the table below has the numbers."),
                    new Block.Table(
                        List.of("answers given", "accuracy", "at --reject-below"), rows)))));
  }
}
