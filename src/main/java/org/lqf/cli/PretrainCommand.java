package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.model.Resnets;
import org.lqf.model.TrainableNetwork;
import org.lqf.pretrain.Pretraining;
import org.lqf.pretrain.SgdConfig;
import org.lqf.pretrain.WeightSgd;
import org.lqf.solve.Progress;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code lqf pretrain}: images in, a network that was trained on them from scratch out. */
@Command(
    name = "pretrain",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description =
        "Trains a residual network with leaky ReLU from scratch, by SGD with momentum on the "
            + "cross-entropy of the labels: a network to fine-tune later. Needs many images.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf pretrain --data photos/ --out net.json",
      "  lqf pretrain --data photos/ --arch resnet18 --size 128 --epochs 90 --out net.json",
      "  lqf pretrain --data photos/ --out net.json --resume",
      "      goes on after the last epoch of a killed run; the result is the same, bit for bit"
    })
final class PretrainCommand implements Callable<Integer> {

  @Option(
      names = "--arch",
      paramLabel = "NAME",
      description =
          "resnet8, resnet14, resnet20 … (6k + 2) for small images, resnet18 or resnet34 for "
              + "large ones. Default: ${DEFAULT-VALUE}.")
  private String arch = "resnet20";

  @Option(
      names = "--slope",
      paramLabel = "X",
      description = "Of the leaky ReLU; 0 is ReLU. Default: ${DEFAULT-VALUE}.")
  private float slope = 0.1f;

  @Mixin
  private final NetworkTrainingOptions options = new NetworkTrainingOptions(30, 128, 0.1, 5e-4);

  @Mixin private final EngineOptions device = new EngineOptions();

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    SgdConfig config = options.sgd(command, Math.max(1, device.threads()));
    TrainingData input = options.images(command);
    TrainableNetwork start = start(command, input.train().classes());
    options.checkOutputs(command, start);
    Path out = options.out();
    PrintWriter err = command.commandLine().getErr();
    try (ProgressDisplay display = new ProgressDisplay(err, options.quiet());
        Engine engine = device.open(command)) {
      input.notes().forEach(display::note);
      Path checkpoint = CheckpointPath.beside(out, options.resume(), err, display);
      long clock = System.nanoTime();
      WeightSgd.Trained trained =
          Pretraining.train(engine, start, input.train(), config, display, checkpoint);
      double seconds = (System.nanoTime() - clock) / 1e9;
      trained.network().write(out);
      Files.deleteIfExists(checkpoint);
      TestScore score = null;
      if (input.test() != null) {
        display.phase("testing");
        score =
            TestScore.of(
                engine, trained.network().folded(), input.test(), config.readers(), display);
      }
      display.clear();
      if (options.metrics() != null) {
        training(new Metrics().test(score, null), trained, config)
            .put("trainImages", input.train().size())
            .put("dataDigest", input.train().digest())
            .put("testDataDigest", input.test() == null ? null : input.test().digest())
            .cost(engine, device.threads(), seconds)
            .write(options.metrics());
      }
      ResultTable table =
          new ResultTable(command.commandLine().getOut())
              .line("network", trained.network().toString())
              .line("images", input.train().toString())
              .line("device", device.describe(engine))
              .training(trained, config)
              .cost(seconds);
      if (score == null) {
        table.line("test accuracy", "no test images; give --test DIR or --holdout 0.2");
      } else {
        table.accuracies(arch, score, null);
      }
      command.commandLine().getOut().println("wrote " + out);
    }
    return 0;
  }

  private TrainableNetwork start(CommandSpec command, List<String> classes) {
    try {
      return options.sized(command, Resnets.trainable(arch, slope, classes, options.seed()));
    } catch (IllegalArgumentException e) {
      throw ImageOptions.usage(command, e.getMessage());
    }
  }

  /** What both commands that train a network tell of it. */
  static Metrics training(Metrics metrics, WeightSgd.Trained trained, SgdConfig config) {
    return metrics
        .put("backbone", trained.network().graph().name())
        .put("backboneDigest", trained.network().folded().digest())
        .put("parameters", trained.network().graph().parameters())
        .put("epochs", config.epochs())
        .put("batch", config.batch())
        .put("learningRate", config.rate())
        .put("schedule", config.schedule().name().toLowerCase(Locale.ROOT))
        .put("weightDecay", config.weightDecay())
        .put("augment", config.augment())
        .put("seed", config.seed())
        .put("steps", trained.steps())
        .put("secondsPerStep", trained.seconds() / trained.steps())
        .put("trainLosses", trained.trace().stream().map(Progress.Step::loss).toList());
  }
}
