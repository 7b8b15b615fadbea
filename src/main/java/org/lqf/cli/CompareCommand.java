package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.lqf.baseline.Comparison;
import org.lqf.baseline.ComparisonPage;
import org.lqf.baseline.Method;
import org.lqf.baseline.Recipe;
import org.lqf.baseline.Run;
import org.lqf.baseline.Summary;
import org.lqf.engine.Engine;
import org.lqf.tune.LqfConfig;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code lqf compare}: the paper's experiment; networks and images in, tables and plots out. */
@Command(
    name = "compare",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Compares LQF with ordinary fine-tuning, the linear probe, and LQF without one or more of "
          + "its three changes (leaky ReLU, squared error, K-FAC).",
      "Hyper-parameters are chosen on validation images out of the training images, with the same "
          + "budget for every method. Writes runs.csv, compare.csv, compare.html and plots; what "
          + "runs.csv has is not run again, so that a broken comparison goes on, and a finished "
          + "one takes more seeds, shots, methods, networks or images."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf compare --backbone net.json --data photos/ --out results/",
      "  lqf compare --backbone leaky.json --backbone relu.json --data photos/ --out results/ \\",
      "      --methods lqf,nlft,probe,ablation --shots 1,5,10 --seeds 3"
    })
final class CompareCommand implements Callable<Integer> {

  @Option(
      names = "--backbone",
      paramLabel = "NET.json",
      required = true,
      description =
          "A pre-trained network. Give it again for another one; the ablation wants one "
              + "architecture with leaky ReLU and with ReLU.")
  private List<Path> backbones = List.of();

  @Option(
      names = "--data",
      paramLabel = "DIR",
      required = true,
      description = "train/ and test/ with a folder per class. Give it again for more images.")
  private List<Path> data = List.of();

  @Option(
      names = "--out",
      paramLabel = "DIR",
      required = true,
      description = "Folder of the results; made if it is not there.")
  private @Nullable Path out;

  @Option(
      names = "--shots",
      paramLabel = "LIST",
      split = ",",
      description =
          "Training images of each class: numbers and all, with commas between. "
              + "Default: 1,5,10,50,all.")
  private List<String> shots = List.of("1", "5", "10", "50", "all");

  @Option(
      names = "--seeds",
      paramLabel = "N",
      description = "Draws of the training images and their order. Default: ${DEFAULT-VALUE}.")
  private int seeds = 5;

  @Option(
      names = "--methods",
      paramLabel = "LIST",
      description =
          "Names with commas between: lqf, nlft, nlft-mse, probe, ablation (all eight "
              + "linear-{relu,leaky}-{ce,mse}-{sgd,kfac}), or some of these eight. A network runs "
              + "those that its activation fits. Default: ${DEFAULT-VALUE}.")
  private String methods = "lqf,nlft,probe";

  @Option(
      names = "--size",
      paramLabel = "PX",
      description = "Side of the square that images are brought to. Default: each network's own.")
  private int size;

  @Option(
      names = "--budget",
      paramLabel = "N",
      description =
          "Trainings that a method may spend on its learning rate or layer decay, 1 to 6. "
              + "Default: ${DEFAULT-VALUE}.")
  private int budget = 4;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Steps of the methods with SGD. Default: ${DEFAULT-VALUE}.")
  private int steps = 300;

  @Option(
      names = "--batch",
      paramLabel = "N",
      description = "Images of a step. Default: ${DEFAULT-VALUE}.")
  private int batch = 32;

  @Option(
      names = "--target-scale",
      paramLabel = "X",
      description =
          "Squared error has targets X for an image's class, else 0; the probe is the "
              + "head times X. Default: ${DEFAULT-VALUE}.")
  private double targetScale = LqfConfig.DEFAULT_TARGET_SCALE;

  @Option(
      names = "--logit-scale",
      paramLabel = "X",
      description =
          "The head of cross-entropy starts as the probe times X. Default: ${DEFAULT-VALUE}.")
  private double logitScale = Recipe.DEFAULT_LOGIT_SCALE;

  @Mixin private final EngineOptions device = new EngineOptions();

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    Path folder = Objects.requireNonNull(out);
    Set<Method> chosen = usage(command, () -> Method.parse(methods));
    Recipe recipe = usage(command, () -> new Recipe(steps, batch, budget, targetScale, logitScale));
    List<Integer> counts = usage(command, () -> shots.stream().map(CompareCommand::count).toList());
    List<String> notes = new ArrayList<>();
    List<Comparison.Network> networks = new ArrayList<>();
    for (Path file : backbones) {
      networks.add(new Comparison.Network(name(file), ModelFile.readBackbone(file)));
    }
    List<Comparison.Images> images = new ArrayList<>();
    for (Path root : data) {
      TrainingData read = TrainingData.read(root, null, null, 0);
      notes.addAll(read.notes());
      if (read.test() == null) {
        throw new IOException(
            "%s: expected the folders train and test, each with a folder per class"
                .formatted(root));
      }
      images.add(new Comparison.Images(name(root), read.train(), read.test()));
    }
    Comparison comparison =
        usage(command, () -> new Comparison(networks, images, size, counts, seeds, chosen, recipe));
    Files.createDirectories(folder);
    PrintWriter err = command.commandLine().getErr();
    try (ProgressDisplay display = new ProgressDisplay(err, quiet);
        Engine engine = device.open(command)) {
      notes.forEach(display::note);
      List<Run> runs = comparison.run(engine, folder, Math.max(1, device.threads()), display);
      display.clear();
      List<Path> written =
          ComparisonPage.write(folder, comparison, runs, commandLine(command), engine.describe());
      print(command.commandLine().getOut(), runs, written);
    }
    return 0;
  }

  private static <T> T usage(CommandSpec command, Supplier<T> values) {
    try {
      return values.get();
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), e.getMessage(), e);
    }
  }

  private static int count(String shots) {
    if (shots.equals("all")) {
      return 0;
    }
    if (!shots.matches("[1-9][0-9]{0,6}")) {
      throw new IllegalArgumentException(
          "--shots are numbers from 1 on, or all, got \"%s\"".formatted(shots));
    }
    return Integer.parseInt(shots);
  }

  /** The name of a folder, or of a file without its suffix. */
  private static String name(Path path) {
    Path last = path.toAbsolutePath().normalize().getFileName();
    return last == null ? path.toString() : last.toString().replaceFirst("\\.json$", "");
  }

  /** The arguments as they were given. */
  private static String commandLine(CommandSpec command) {
    return "lqf " + String.join(" ", command.commandLine().getParseResult().originalArgs());
  }

  private static void print(PrintWriter to, List<Run> runs, List<Path> written) {
    to.printf(
        "%-16s %-28s %5s  %-22s %15s %5s%n",
        "images", "network", "shots", "method", "test error", "seeds");
    for (Summary line : Summary.of(runs)) {
      to.printf(
          "%-16s %-28s %5s  %-22s %6.1f ± %4.1f %% %5d%n",
          line.cell().dataset(),
          line.cell().backbone(),
          line.cell().shotsText(),
          line.cell().method(),
          100 * line.error(),
          100 * line.std(),
          line.seeds());
    }
    to.println();
    for (Path file : written) {
      to.println("wrote " + file);
    }
    to.flush();
  }
}
