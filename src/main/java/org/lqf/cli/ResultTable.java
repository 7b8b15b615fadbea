package org.lqf.cli;

import java.io.PrintWriter;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.lqf.model.Certificate;
import org.lqf.predict.ConfusionMatrix;
import org.lqf.pretrain.SgdConfig;
import org.lqf.pretrain.WeightSgd;
import org.lqf.solve.Progress;

/** Results for people, on stdout. */
final class ResultTable {

  private static final int MAX_CLASSES = 40;
  private static final int WORST = 20; // shown where there are more classes than that
  private static final int CONFUSIONS = 5;

  private final PrintWriter out;

  ResultTable(PrintWriter out) {
    this.out = out;
  }

  /** A name and what it is. */
  ResultTable line(String name, String value) {
    out.printf("%-17s %s%n", name, value);
    return this;
  }

  /** How good the solution is, proven. */
  ResultTable certificate(Certificate proven) {
    return line("training loss", "%.6g".formatted(proven.loss()))
        .line("‖∇L‖", "%.3g".formatted(proven.gradientNorm()))
        .line(
            "certified gap",
            "%.3g: the training loss is at most this above the smallest there is (%.2g %%)"
                .formatted(proven.gap(), 100 * proven.gap() / proven.loss()));
  }

  /** How a network came about. */
  ResultTable training(WeightSgd.Trained trained, SgdConfig config) {
    List<Progress.Step> trace = trained.trace();
    String loss =
        trace.isEmpty()
            ? "no epoch was left to do"
            : "%.4g in the first epoch, %.4g in the last"
                .formatted(trace.get(0).loss(), trace.get(trace.size() - 1).loss());
    return line(
            "steps",
            "%d of %d images, %.3f s each"
                .formatted(
                    trained.steps(),
                    config.batch(),
                    trained.seconds() / Math.max(1, trained.steps())))
        .line("mean loss", loss);
  }

  ResultTable cost(double seconds) {
    long peak = PeakMemory.bytes();
    return line("seconds", "%.1f".formatted(seconds))
        .line(
            "peak memory",
            (peak < 0 ? "not known" : "%d MB: all of the process, engine and JVM")
                .formatted(peak >> 20));
  }

  /** Accuracy, over all and by class, and, where known, that of the linear probe beside it. */
  void accuracies(TestScore score, @Nullable TestScore probe) {
    accuracies("LQF", score, probe);
  }

  /**
   * The same for any model.
   *
   * @param name heads the column of the score
   */
  void accuracies(String name, TestScore score, @Nullable TestScore probe) {
    ConfusionMatrix own = score.confusions();
    List<Integer> classes = shown(own);
    int width =
        Math.max(13, classes.stream().mapToInt(c -> own.labels().get(c).length()).max().orElse(0));
    String row = "%-" + width + "s  %6s  %7s";
    out.println();
    out.printf(row, "test accuracy", "images", name);
    out.println(probe == null ? "" : "    probe     gain");
    out.printf(row, "all", score.images(), percent(score.accuracy()));
    if (probe == null) {
      out.printf(" ± %.1f (standard error)%n", 100 * score.standardError());
    } else {
      TestScore.Gain gain = score.over(probe);
      out.printf(
          "  %7s  %+7.1f ± %.1f points (standard error, paired)%n",
          percent(probe.accuracy()), 100 * gain.value(), 100 * gain.standardError());
    }
    for (int label : classes) {
      double accuracy = own.accuracy(label);
      out.printf(row, own.labels().get(label), own.images(label), percent(accuracy));
      if (probe != null && own.images(label) > 0) {
        double before = probe.confusions().accuracy(label);
        out.printf("  %7s  %+7.1f", percent(before), 100 * (accuracy - before));
      }
      out.println();
    }
    if (classes.size() < own.labels().size()) {
      out.printf(
          "(the worst %d of %d classes; --metrics-json has all)%n",
          classes.size(), own.labels().size());
    }
    out.println();
    List<ConfusionMatrix.Confusion> pairs = own.mostConfused(CONFUSIONS);
    out.println(pairs.isEmpty() ? "no class was taken for another" : "most confused");
    for (ConfusionMatrix.Confusion pair : pairs) {
      out.printf(
          "  %d of %d %s taken for %s%n", pair.count(), pair.of(), pair.label(), pair.predicted());
    }
  }

  private static List<Integer> shown(ConfusionMatrix own) {
    List<Integer> all = IntStream.range(0, own.labels().size()).boxed().toList();
    return all.size() <= MAX_CLASSES
        ? all
        : all.stream().sorted(Comparator.comparingDouble(own::accuracy)).limit(WORST).toList();
  }

  private static String percent(double part) {
    return Double.isNaN(part) ? "-" : "%.1f %%".formatted(100 * part);
  }
}
