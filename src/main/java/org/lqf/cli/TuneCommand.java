package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;
import org.lqf.tune.TrainingFiles;
import org.lqf.tune.TrainingReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code lqf tune}: images and a network in, a model and its accuracy out. */
@Command(
    name = "tune",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Fine-tunes a network on images in a folder per class and tests it, with the linear probe "
          + "(ridge regression on the network's last features) beside it.",
      "Without options: the shipped network on the shipped images, nothing is saved."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf tune --backbone net.json --data photos/ --out photos.lqf",
      "      photos/train/CLASS/*.jpg are trained on, photos/test/CLASS/*.jpg tested on",
      "  lqf tune --data photos/ --holdout 0.2 --size 64 --seed 7 --metrics-json m.json",
      "      photos/CLASS/*.jpg, a fifth of each class is set aside for testing",
      "  lqf tune --data photos/ --out photos.lqf --resume",
      "      goes on where a killed run was; the result is the same, bit for bit",
      "  lqf tune --data photos/ --solver sgd-kfac --augment --epochs 40"
    })
final class TuneCommand implements Callable<Integer> {

  @Mixin private final TuneInput input = new TuneInput();

  @Option(
      names = "--out",
      paramLabel = "FILE.lqf",
      description =
          "Where to write the model; FILE.lqf.checkpoint lies beside it while the solver runs.")
  private @Nullable Path out;

  @Option(names = "--force", description = "Replaces FILE.lqf if it is there.")
  private boolean force;

  @Option(
      names = "--resume",
      description =
          "Goes on from the checkpoint of a run with the same options that was interrupted. "
              + "Without it, such a checkpoint is discarded.")
  private boolean resume;

  @Option(
      names = "--factors",
      paramLabel = "FILE",
      description =
          "Kronecker factors of the -kfac solvers: taken from FILE if it is there, else computed "
              + "and written to it. They serve any ridge and damping.")
  private @Nullable Path factors;

  @Option(
      names = "--like",
      paramLabel = "MODEL.lqf",
      description =
          "Starts from this model's linearisation point: its head, layers, size, target scale and "
              + "ridge. Models that are to be merged need that.")
  private @Nullable Path like;

  @Option(
      names = "--metrics-json",
      paramLabel = "FILE",
      description = "Writes the results for machines, replacing the file.")
  private @Nullable Path metrics;

  @Mixin private final TuneOptions options = new TuneOptions();
  @Mixin private final EngineOptions device = new EngineOptions();

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    LqfConfig config =
        ImageOptions.usage(command, () -> options.config(Math.max(1, device.threads())));
    checkOptions(command);
    Path graph = input.graph(command);
    Backbone network = ModelFile.readBackbone(graph);
    LinearisedModel point = like == null ? null : ModelFile.read(like);
    if (point != null) {
      point.attach(network); // refuses another network before the work
    }
    if (out != null && Files.exists(out) && !force) {
      throw new IOException(out + " is already there; give --force to replace it");
    }
    if (out != null) {
      // A checkpoint has up to three vectors of floats, and lies beside the one it replaces.
      OutputFile.check(out, 24 * network.parameters());
    }
    if (metrics != null) {
      OutputFile.check(metrics, 1);
    }
    if (factors != null) {
      OutputFile.check(factors, 1);
    }
    TrainingData images = input.images(command, options.seed());
    PrintWriter err = command.commandLine().getErr();
    try (ProgressDisplay display = new ProgressDisplay(err, quiet);
        Engine engine = device.open(command)) {
      images.notes().forEach(display::note);
      Path checkpoint = out == null ? null : CheckpointPath.beside(out, resume, err, display);
      String hint = out == null ? "" : ModelFile.hint(out, graph);
      TrainingFiles files = new TrainingFiles(hint, checkpoint, factors);
      long start = System.nanoTime();
      TrainingReport report =
          point == null
              ? LqfTrainer.train(engine, network, images.train(), config, display, files)
              : LqfTrainer.trainLike(
                  point, engine, network, images.train(), config, display, files);
      double seconds = (System.nanoTime() - start) / 1e9;
      if (out != null && checkpoint != null) {
        report.model().write(out);
        Files.deleteIfExists(checkpoint);
      }
      TestScore score = null;
      TestScore probe = null;
      if (images.test() != null) {
        display.phase("testing");
        score = TestScore.of(engine, network, report.model(), images.test(), display);
        display.phase("testing the linear probe");
        probe = TestScore.of(engine, network, report.probe(), images.test(), display);
      }
      display.clear();
      if (metrics != null) {
        metrics(report, score, probe, images.test(), engine, seconds)
            .planned(display.planned())
            .write(metrics);
      }
      print(command.commandLine().getOut(), report, engine, seconds, score, probe);
    }
    return 0;
  }

  private void checkOptions(CommandSpec command) {
    input.check(command);
    if (resume && out == null) {
      throw ImageOptions.usage(command, "--resume needs --out, beside which the checkpoint lies");
    }
  }

  private Metrics metrics(
      TrainingReport report,
      @Nullable TestScore score,
      @Nullable TestScore probe,
      @Nullable ImageFolder tested,
      Engine engine,
      double seconds)
      throws IOException {
    return new Metrics()
        .test(score, probe)
        .model(report.model())
        .put("converged", report.converged())
        .put("solverReason", report.choice())
        .put("damping", report.damping())
        .put("testDataDigest", tested == null ? null : tested.digest())
        .cost(engine, device.threads(), seconds);
  }

  private void print(
      PrintWriter to,
      TrainingReport report,
      Engine engine,
      double seconds,
      @Nullable TestScore score,
      @Nullable TestScore probe) {
    LinearisedModel model = report.model();
    LinearisedModel.Fit fit = model.fit();
    ResultTable table =
        new ResultTable(to)
            .line(
                "network",
                "%s at %d×%d, %d parameters"
                    .formatted(
                        model.origin().backbone(),
                        model.input().width(),
                        model.input().height(),
                        model.delta().length))
            .line("images", "%d in %d classes".formatted(fit.samples(), model.labels().size()))
            .line("device", device.describe(engine))
            .line("solver", "%s (%s)".formatted(report.solver(), report.choice()))
            .line(
                "iterations",
                "%d%s"
                    .formatted(
                        fit.iterations(),
                        report.converged()
                            ? ""
                            : ", tolerance not met: see --iterations and --tolerance"))
            .certificate(fit.certificate())
            .cost(seconds);
    if (score == null) {
      table.line("test accuracy", "no test images; give --test DIR or --holdout 0.2");
    } else {
      table.accuracies(score, probe);
    }
    to.println();
    to.println(out == null ? "not saved; --out FILE.lqf would" : "wrote " + out);
    to.flush();
  }
}
