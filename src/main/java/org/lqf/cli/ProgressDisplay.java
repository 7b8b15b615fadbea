package org.lqf.cli;

import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;
import org.lqf.predict.Evaluation;
import org.lqf.solve.Progress;
import org.lqf.tune.TrainingListener;
import org.lqf.tune.TuningPlan;

/**
 * Shows on stderr how far a training is: on a terminal one line that is painted over, elsewhere a
 * line now and then.
 *
 * <p>The launcher sets system property {@code lqf.columns} to the width of the terminal if stderr
 * is one (Java 17 can only ask about stdin and stdout together).
 */
final class ProgressDisplay implements TrainingListener, Evaluation.Progress, AutoCloseable {

  private static final int BAR = 20; // characters
  private static final long PAINT_NANOS = 100_000_000L;
  private static final double ENOUGH = 0.02; // of the work must be done to tell the time left
  private static final long LINE_NANOS = 5_000_000_000L;

  private final PrintWriter err;
  private final boolean quiet;
  private final int columns; // 0: no terminal

  private @Nullable TuningPlan planned;
  private String phase = "";
  private boolean solving; // then iterations are the measure, not images
  private long start; // System.nanoTime() of the phase
  private long shown; // System.nanoTime() of the last output
  private double first = Double.NaN; // fraction at the first report of the phase: above 0 on resume
  private double fraction;
  private String state = "";
  private String images = "";
  private boolean painted;

  ProgressDisplay(PrintWriter err, boolean quiet) {
    this(err, quiet, Integer.getInteger("lqf.columns", 0));
  }

  ProgressDisplay(PrintWriter err, boolean quiet, int columns) {
    this.err = err;
    this.quiet = quiet;
    this.columns = columns;
  }

  @Override
  public void phase(String name) {
    begin(name, name.startsWith("solving") || name.equals("training"));
  }

  /** Begins a part of the work that is measured by {@link #step}, however often it sees images. */
  void work(String name) {
    begin(name, true);
  }

  private void begin(String name, boolean bySteps) {
    clear();
    phase = name;
    solving = bySteps;
    start = System.nanoTime();
    first = Double.NaN;
    fraction = 0;
    state = "";
    images = "";
    show(true);
  }

  @Override
  public void images(int done, int total) {
    images = "%d of %d images".formatted(done, total);
    if (!solving) {
      advance(done / (double) total);
    }
    show(false);
  }

  /** Images of an evaluation. */
  @Override
  public void report(int done, int total) {
    images(done, total);
  }

  @Override
  public void step(Progress.Step step) {
    take(step);
    show(false);
  }

  /** What is shown after this step, some seconds after the phase began. */
  String line(Progress.Step step, double seconds) {
    take(step);
    return line(seconds);
  }

  private void take(Progress.Step step) {
    StringBuilder text = new StringBuilder("iteration " + step.iteration());
    if (!Double.isNaN(step.loss())) {
      text.append(", loss %.5g".formatted(step.loss()));
    }
    if (!Double.isNaN(step.gradientNorm())) {
      text.append(", ‖∇L‖ %.2g".formatted(step.gradientNorm()));
    }
    state = text.toString();
    advance(step.fraction());
  }

  @Override
  public void plan(TuningPlan plan) {
    planned = plan;
    note("solver %s: %s".formatted(plan.solver(), plan.reason()));
    note(
        "planned: %.0f s, %d MB, %d images at a time"
            .formatted(plan.seconds(), plan.peakBytes() >> 20, plan.batch()));
  }

  /** How the training was to run; null before it began. */
  @Nullable TuningPlan planned() {
    return planned;
  }

  @Override
  public void note(String sentence) {
    if (!quiet) {
      clear();
      err.println("lqf: " + sentence);
      err.flush();
    }
  }

  private void advance(double to) {
    if (Double.isNaN(first)) {
      first = to;
    }
    fraction = Math.max(fraction, to); // a solver's estimate may go back
  }

  private void show(boolean now) {
    long time = System.nanoTime();
    if (quiet || (!now && time - shown < (columns > 0 ? PAINT_NANOS : LINE_NANOS))) {
      return;
    }
    shown = time;
    String line = line((time - start) / 1e9);
    if (columns > 0) {
      err.print("\r" + line + "\033[K"); // erases what is left of a longer line
      painted = true;
    } else {
      err.println("lqf: " + line);
    }
    err.flush();
  }

  private String line(double seconds) {
    StringBuilder line = new StringBuilder(phase);
    if (columns > 0) {
      int full = (int) Math.round(BAR * fraction);
      line.append(" [").append("=".repeat(full)).append(" ".repeat(BAR - full)).append(']');
    }
    if (fraction > 0) {
      line.append(" %3.0f %%".formatted(100 * fraction));
    }
    if (fraction - first > ENOUGH && seconds > 1) {
      line.append(", ").append(time(seconds * (1 - fraction) / (fraction - first))).append(" left");
    }
    if (!state.isEmpty()) {
      line.append(", ").append(state);
    }
    if (!images.isEmpty() && fraction < 1) {
      line.append(", ").append(images);
    }
    return columns > 0 && line.length() >= columns
        ? line.substring(0, columns - 1)
        : line.toString();
  }

  private static String time(double seconds) {
    long s = Math.round(seconds);
    return s < 3600
        ? "%d:%02d".formatted(s / 60, s % 60)
        : "%d:%02d:%02d".formatted(s / 3600, s / 60 % 60, s % 60);
  }

  /** Erases the progress line, before something else is printed. */
  void clear() {
    if (painted) {
      err.print("\r\033[K");
      err.flush();
      painted = false;
    }
  }

  @Override
  public void close() {
    clear();
  }
}
