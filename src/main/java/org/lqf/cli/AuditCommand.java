package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.Audit;
import org.lqf.explain.LeaveOneOut;
import org.lqf.explain.RidgePath;
import org.lqf.image.ImageFolder;
import org.lqf.report.CsvFile;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code lqf audit}: a model and its training images in, what is wrong with them out. */
@Command(
    name = "audit",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Says what each training image does to the model: leave-one-out accuracy, likely label errors, "
          + "images that are alike under different labels, the most and the least useful ones, and "
          + "how good other ridges would be. All in closed form, nothing is retrained.",
      "It takes about as long as a training by --solver gram, and the ridge path about as long again."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf audit photos.lqf --data photos/train              audit/audit.html, audit.csv, ridge.csv",
      "  lqf audit photos.lqf --data photos/train --test photos/test --reweighted better.lqf"
    })
final class AuditCommand implements Callable<Integer> {

  private static final int SHOWN = 5; // on the terminal

  @Mixin private final TrainedModelOptions options = new TrainedModelOptions();

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description = "Folder for audit.html, audit.csv and ridge.csv. Default: ${DEFAULT-VALUE}.")
  private Path out = Path.of("audit");

  @Option(
      names = "--top",
      paramLabel = "N",
      description = "Images shown in each list of the page. Default: ${DEFAULT-VALUE}.")
  private int top = 40;

  @Option(
      names = "--alike",
      paramLabel = "X",
      description =
          "Two images count as alike from this cosine of their gradients on; 1 is the same picture. "
              + "Default: ${DEFAULT-VALUE}.")
  private double alike = 0.98;

  @Option(
      names = "--no-ridge-path",
      description = "Leaves the ridge path out, which halves the time.")
  private boolean noPath;

  @Option(
      names = "--test",
      paramLabel = "DIR",
      description =
          "Labelled images that were not trained on: says by how much each training image helps them.")
  private @Nullable Path test;

  @Option(
      names = "--reweighted",
      paramLabel = "FILE.lqf",
      description = "With --test: writes the model that weights the training images by that.")
  private @Nullable Path reweighted;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description =
          "Of the halves of the test images: one gives the weights, one judges them. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(
      names = "--metrics-json",
      paramLabel = "FILE",
      description = "Writes the results for machines, replacing the file.")
  private @Nullable Path metrics;

  @Mixin private final EngineOptions device = new EngineOptions();

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    checkOptions(command);
    Files.createDirectories(out);
    OutputFile.check(out.resolve("audit.html"), 1);
    if (metrics != null) {
      OutputFile.check(metrics, 1);
    }
    long start = System.nanoTime();
    try (ProgressDisplay display = new ProgressDisplay(command.commandLine().getErr(), quiet);
        Engine engine = device.open(command);
        TrainedModel trained = options.open(engine, device.threads(), display)) {
      ImageFolder tests = tests(trained, display);
      AuditFindings found = AuditFindings.of(trained, alike, !noPath, display);
      if (tests != null) {
        found =
            found.with(
                ValidationFindings.of(engine, trained, tests, seed, device.threads(), display));
      }
      display.phase("writing");
      write(found);
      display.clear();
      double seconds = (System.nanoTime() - start) / 1e9;
      if (metrics != null) {
        metrics(found).cost(engine, device.threads(), seconds).write(metrics);
      }
      print(command.commandLine().getOut(), found, seconds);
    }
    return 0;
  }

  private void checkOptions(CommandSpec command) throws IOException {
    if (top < 1) {
      throw new ParameterException(
          command.commandLine(), "--top must be at least 1, got %d".formatted(top));
    }
    if (!(alike > 0 && alike <= 1)) {
      throw new ParameterException(
          command.commandLine(),
          "--alike must lie above 0 and at most at 1, got %s".formatted(alike));
    }
    if (reweighted != null && test == null) {
      throw new ParameterException(
          command.commandLine(), "--reweighted needs --test, whose images give the weights");
    }
    if (reweighted != null && Files.exists(reweighted)) {
      throw new IOException(reweighted + " is already there; give another name or remove it");
    }
    if (reweighted != null) {
      OutputFile.check(reweighted, Files.exists(options.file()) ? Files.size(options.file()) : 1);
    }
  }

  private @Nullable ImageFolder tests(TrainedModel trained, ProgressDisplay display)
      throws IOException {
    if (test == null) {
      return null;
    }
    List<String> notes = new ArrayList<>();
    ImageFolder tests = TrainingData.testImages(test, trained.model().labels(), notes);
    notes.forEach(display::note);
    return tests;
  }

  private void write(AuditFindings found) throws IOException {
    AuditPage page = new AuditPage(found, top);
    page.page().write(out.resolve("audit.html"));
    CsvFile.write(out.resolve("audit.csv"), AuditPage.COLUMNS, page.rows());
    RidgePath path = found.path();
    if (path != null) {
      List<List<String>> rows = new ArrayList<>();
      for (RidgePath.Point point : path.points()) {
        rows.add(ridge(found, point).values().values().stream().map(String::valueOf).toList());
      }
      List<String> header = List.copyOf(ridge(found, path.points().get(0)).values().keySet());
      CsvFile.write(out.resolve("ridge.csv"), header, rows);
    }
    if (reweighted != null && found.validation() != null) {
      found.validation().model().write(reweighted);
    }
  }

  private static Metrics ridge(AuditFindings found, RidgePath.Point point) {
    return new Metrics()
        .put("ridge", found.ridge(point))
        .put("looLoss", found.loss(point.looLoss()))
        .put("looAccuracy", point.looAccuracy())
        .put("gcv", found.loss(point.gcv()))
        .put("trainLoss", found.loss(point.fittedLoss()))
        .put("effectiveParameters", point.freedom());
  }

  private Metrics metrics(AuditFindings found) throws IOException {
    LeaveOneOut loo = found.leaveOneOut();
    List<Map<String, @Nullable Object>> suspects = new ArrayList<>();
    for (int image : found.suspects()) {
      suspects.add(
          new Metrics()
              .put("image", found.file(image))
              .put("label", found.label(image))
              .put("predicted", found.predicted(image))
              .put("margin", found.margin(image))
              .values());
    }
    List<Map<String, @Nullable Object>> pairs = new ArrayList<>();
    for (Audit.Pair pair : found.pairs()) {
      pairs.add(
          new Metrics()
              .put("image", found.file(pair.first()))
              .put("other", found.file(pair.second()))
              .put("cosine", pair.cosine())
              .values());
    }
    RidgePath path = found.path();
    ValidationFindings judged = found.validation();
    return new Metrics()
        .put("looAccuracy", loo.accuracy())
        .put("looStandardError", found.standardError())
        .put("looLoss", found.loss(loo.meanLoss()))
        .put("knownLoss", found.loss(loo.fittedLoss()))
        .put("likelyLabelErrors", suspects)
        .put("alikeUnderDifferentLabels", pairs)
        .put("chosenRidge", path == null ? null : found.ridge(path.bestByLeaveOneOut()))
        .put("chosenRidgeByGcv", path == null ? null : found.ridge(path.bestByGcv()))
        .put(
            "ridgePath",
            path == null
                ? null
                : path.points().stream().map(point -> ridge(found, point).values()).toList())
        .put("judgedLossBefore", judged == null ? null : found.loss(judged.lossBefore()))
        .put("judgedLossAfter", judged == null ? null : found.loss(judged.lossAfter()))
        .put("judgedAccuracyBefore", judged == null ? null : judged.before().accuracy())
        .put("judgedAccuracyAfter", judged == null ? null : judged.after().accuracy())
        .put("judgedImages", judged == null ? null : judged.after().images())
        .model(found.model());
  }

  private void print(PrintWriter to, AuditFindings found, double seconds) {
    LeaveOneOut loo = found.leaveOneOut();
    List<Integer> suspects = found.suspects();
    ResultTable table =
        new ResultTable(to)
            .line("model", found.model().toString())
            .line("images", "%d in %d classes".formatted(loo.images(), loo.classes()))
            .line(
                "leave-one-out",
                "accuracy %.1f %% ± %.1f, loss %.4g (%.4g on the images it knows)"
                    .formatted(
                        100 * loo.accuracy(),
                        100 * found.standardError(),
                        found.loss(loo.meanLoss()),
                        found.loss(loo.fittedLoss())))
            .line(
                "label errors",
                "%d images that the others give another class".formatted(suspects.size()));
    for (int image : suspects.stream().limit(SHOWN).toList()) {
      table.line(
          "",
          "%s: the others say %s, margin %.2f"
              .formatted(found.file(image), found.predicted(image), found.margin(image)));
    }
    table.line("alike", "under different labels: " + found.pairs().size());
    for (Audit.Pair pair : found.pairs().stream().limit(SHOWN).toList()) {
      table.line(
          "",
          "%s and %s, %.4f"
              .formatted(found.file(pair.first()), found.file(pair.second()), pair.cosine()));
    }
    table
        .line("most useful", list(found, found.useful()))
        .line("most harmful", list(found, found.harmful()));
    if (found.path() != null) {
      table.line("ridge path", AuditPage.choice(found, found.path()));
    }
    ValidationFindings judged = found.validation();
    if (judged != null) {
      table.line(
          "reweighted",
          "loss %.4g to %.4g, accuracy %.1f %% to %.1f %% ± %.1f, on %d test images that had no say"
              .formatted(
                  found.loss(judged.lossBefore()),
                  found.loss(judged.lossAfter()),
                  100 * judged.before().accuracy(),
                  100 * judged.after().accuracy(),
                  100 * judged.after().standardError(),
                  judged.after().images()));
    }
    table.cost(seconds);
    to.println();
    to.println("wrote " + out.resolve("audit.html"));
    to.println("wrote " + out.resolve("audit.csv"));
    if (found.path() != null) {
      to.println("wrote " + out.resolve("ridge.csv"));
    }
    if (reweighted != null) {
      to.println("wrote " + reweighted);
    }
    to.flush();
  }

  private static String list(AuditFindings found, List<Integer> images) {
    return images.isEmpty()
        ? "none"
        : String.join(", ", images.stream().limit(SHOWN).map(found::file).toList());
  }
}
