package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
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
      "  lqf evaluate photos.lqf --data other/ --backbone nets/net.json --metrics-json m.json"
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

  @Mixin private final EngineOptions device = new EngineOptions();

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    if (metrics != null) {
      OutputFile.check(metrics, 1);
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
      double seconds = (System.nanoTime() - start) / 1e9;
      display.clear();
      if (metrics != null) {
        new Metrics()
            .test(score, null)
            .model(input.model())
            .put("testDataDigest", images.digest())
            .cost(engine, device.threads(), seconds)
            .write(metrics);
      }
      new ResultTable(command.commandLine().getOut())
          .line("model", input.model().toString())
          .line("images", images.toString())
          .line("device", engine.describe())
          .cost(seconds)
          .accuracies(score, null);
    }
    return 0;
  }
}
