package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.Answers;
import org.lqf.image.ImageFolder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code lqf evaluate}: a model and labelled images in, its accuracy out. */
@Command(
    name = "evaluate",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = "Tests a model on images in a folder per class.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf evaluate photos.lqf --data photos/test",
      "  lqf evaluate photos.lqf --data other/ --backbone nets/net.json --metrics-json m.json",
      "  lqf evaluate photos.lqf --data photos/test --uncertainty --train photos/train --report r.html"
    })
final class EvaluateCommand implements Callable<Integer> {

  @Parameters(paramLabel = "MODEL.lqf", arity = "1", description = "Written by lqf tune.")
  private @Nullable Path file;

  @Option(
      names = "--data",
      paramLabel = "DIR",
      required = true,
      description = "A folder per class, named as in training; or a folder with train/ and test/.")
  private @Nullable Path data;

  @Option(
      names = "--backbone",
      paramLabel = "NET.json",
      description = "The network it was tuned from. Default: where the model says that it lies.")
  private @Nullable Path backbone;

  @Option(
      names = "--metrics-json",
      paramLabel = "FILE",
      description = "Writes the results for machines, replacing the file.")
  private @Nullable Path metrics;

  @Mixin private final UncertaintyOptions uncertainty = new UncertaintyOptions();

  @Option(
      names = "--train",
      paramLabel = "DIR",
      description = "The images that it was trained on, for --uncertainty. May be given again.")
  private List<Path> train = List.of();

  @Option(
      names = "--report",
      paramLabel = "FILE.html",
      description = "With --uncertainty: writes a page with the curve of accuracy by coverage.")
  private @Nullable Path report;

  @Mixin private final EngineOptions device = new EngineOptions();

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    uncertainty.check(command, "--train", train);
    if (report != null && !uncertainty.wanted()) {
      throw new ParameterException(
          command.commandLine(), "--report is for --uncertainty; give that too");
    }
    if (metrics != null) {
      OutputFile.check(metrics, 1);
    }
    if (report != null) {
      OutputFile.check(report, 1);
    }
    ModelFile input = ModelFile.open(Objects.requireNonNull(file), backbone);
    List<String> notes = new ArrayList<>();
    ImageFolder images =
        TrainingData.testImages(Objects.requireNonNull(data), input.model().labels(), notes);
    try (ProgressDisplay display = new ProgressDisplay(command.commandLine().getErr(), quiet);
        Engine engine = device.open(command)) {
      notes.forEach(display::note);
      display.phase("testing");
      long start = System.nanoTime();
      TestScore score = TestScore.of(engine, input.backbone(), input.model(), images, display);
      SurenessScore sure = uncertainty.wanted() ? sure(engine, images, display) : null;
      double seconds = (System.nanoTime() - start) / 1e9;
      display.clear();
      if (sure != null && report != null) {
        sure.page().write(report);
      }
      if (metrics != null) {
        Metrics values =
            new Metrics()
                .test(score, null)
                .model(input.model())
                .put("testDataDigest", images.digest());
        (sure == null ? values : sure.metrics(values))
            .cost(engine, device.threads(), seconds)
            .write(metrics);
      }
      new ResultTable(command.commandLine().getOut())
          .line("model", input.model().toString())
          .line("images", images.toString())
          .line("device", device.describe(engine))
          .cost(seconds)
          .accuracies(score, null);
      if (sure != null) {
        sure.print(command.commandLine().getOut());
      }
    }
    return 0;
  }

  private SurenessScore sure(Engine engine, ImageFolder images, ProgressDisplay display)
      throws IOException {
    int threads = device.threads();
    try (TrainedModel trained =
            TrainedModel.open(
                engine, Objects.requireNonNull(file), backbone, train, threads, display);
        Sureness sureness = uncertainty.sureness(trained, threads, display)) {
      Answers answers =
          UncertaintyOptions.answers(
              sureness.posterior(),
              trained,
              images,
              threads,
              display,
              "covariances of test images");
      return SurenessScore.of(sureness, answers, images.labels(), trained.model());
    }
  }
}
