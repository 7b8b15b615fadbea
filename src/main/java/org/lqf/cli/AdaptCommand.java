package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.TrainableNetwork;
import org.lqf.pretrain.Adaptation;
import org.lqf.pretrain.SgdConfig;
import org.lqf.pretrain.WeightSgd;
import org.lqf.tune.LinearProbe;
import org.lqf.tune.PooledFeatures;
import org.lqf.tune.TrainingImages;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code lqf adapt}: a ReLU network and images in, a leaky network with the same features out. */
@Command(
    name = "adapt",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description =
        "Turns a ReLU network into a leaky one, which LQF wants: the leaky network learns, image "
            + "by image, to give the features of the ReLU network. Labels are used only to report "
            + "linear probes of both.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf adapt --backbone relu.json --data photos/ --slope 0.1 --out leaky.json",
      "  lqf adapt --backbone relu.json --data photos/ --out leaky.json --resume"
    })
final class AdaptCommand implements Callable<Integer> {

  private static final int FEATURE_BATCH = 64;

  @Option(
      names = "--backbone",
      paramLabel = "NET.json",
      required = true,
      description = "Graph of the ReLU network, its weights beside it.")
  private @Nullable Path backbone;

  @Option(
      names = "--slope",
      paramLabel = "X",
      description = "Of the leaky ReLU. Default: ${DEFAULT-VALUE}.")
  private float slope = 0.1f;

  @Mixin private final NetworkTrainingOptions options = new NetworkTrainingOptions(30, 64, 0.05, 0);

  @Mixin private final EngineOptions device = new EngineOptions();

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    SgdConfig config = options.sgd(command, Math.max(1, device.threads()));
    TrainableNetwork relu =
        options.sized(command, ModelFile.readTrainable(Objects.requireNonNull(backbone)));
    TrainableNetwork swapped;
    try {
      swapped = relu.withSlope(slope);
    } catch (IllegalArgumentException e) {
      throw ImageOptions.usage(command, e.getMessage());
    }
    options.checkOutputs(command, relu);
    TrainingData input = options.images(command);
    Path out = options.out();
    PrintWriter err = command.commandLine().getErr();
    try (ProgressDisplay display = new ProgressDisplay(err, options.quiet());
        Engine engine = device.open(command)) {
      input.notes().forEach(display::note);
      Path checkpoint = CheckpointPath.beside(out, options.resume(), err, display);
      long clock = System.nanoTime();
      WeightSgd.Trained trained =
          Adaptation.adapt(engine, relu, slope, input.train(), config, display, checkpoint);
      double seconds = (System.nanoTime() - clock) / 1e9;
      trained.network().write(out);
      Files.deleteIfExists(checkpoint);
      display.phase("comparing features");
      Comparison comparison = new Comparison(engine, input, config.readers(), display);
      Comparison.Features target = comparison.of(relu.folded());
      Comparison.Features before = comparison.of(swapped.folded());
      Comparison.Features after = comparison.of(trained.network().folded());
      display.clear();
      if (options.metrics() != null) {
        PretrainCommand.training(new Metrics(), trained, config)
            .put("slope", (double) slope)
            .put("trainImages", input.train().size())
            .put("dataDigest", input.train().digest())
            .put("reluDigest", relu.folded().digest())
            .put("featureErrorBefore", before.error(target))
            .put("featureErrorAfter", after.error(target))
            .put("sameClassBefore", before.sameClass(target))
            .put("sameClassAfter", after.sameClass(target))
            .put("probeAccuracyRelu", target.accuracy())
            .put("probeAccuracyBefore", before.accuracy())
            .put("probeAccuracyAfter", after.accuracy())
            .cost(engine, device.threads(), seconds)
            .write(options.metrics());
      }
      PrintWriter to = command.commandLine().getOut();
      new ResultTable(to)
          .line("network", trained.network().toString())
          .line("images", input.train().toString())
          .line("device", device.describe(engine))
          .training(trained, config)
          .cost(seconds);
      to.printf("%nmeasured on %s%n", comparison.measured);
      to.printf("%-28s  %13s  %10s  %14s%n", "", "feature error", "same class", "probe accuracy");
      print(to, "ReLU", target, target);
      print(to, "slope %s, weights as before".formatted(slope), before, target);
      print(to, "slope %s, adapted".formatted(slope), after, target);
      to.println();
      to.println("wrote " + out);
      to.flush();
    }
    return 0;
  }

  private static void print(
      PrintWriter to, String name, Comparison.Features features, Comparison.Features target) {
    to.printf(
        "%-28s  %13.4f  %10s  %14s%n",
        name,
        features.error(target),
        percent(features.sameClass(target)),
        percent(features.accuracy()));
  }

  private static String percent(double part) {
    return Double.isNaN(part) ? "-" : "%.1f %%".formatted(100 * part);
  }

  /** The same questions to several networks: on test images, where there are any. */
  private record Comparison(
      Engine engine,
      TrainingData input,
      ImageFolder measured,
      int readers,
      ProgressDisplay display) {

    Comparison(Engine engine, TrainingData input, int readers, ProgressDisplay display) {
      this(engine, input, input.test() == null ? input.train() : input.test(), readers, display);
    }

    /**
     * @param values pooled features, [images, width]
     * @param given the class that the network's own head gives each image
     * @param accuracy of a linear probe of the training images; NaN without test images or classes
     */
    record Features(double[] values, int[] given, double accuracy) {
      double error(Features target) {
        return Adaptation.featureError(values, target.values, given.length);
      }

      /** The part of the images that both heads give the same class. */
      double sameClass(Features target) {
        int same = 0;
        for (int i = 0; i < given.length; i++) {
          same += given[i] == target.given[i] ? 1 : 0;
        }
        return same / (double) given.length;
      }
    }

    Features of(Backbone network) throws IOException {
      double[] values = features(network, measured);
      double accuracy = Double.NaN;
      if (input.test() != null && input.train().classes().size() > 1) {
        double[] train = features(network, input.train());
        int[] probed =
            LinearProbe.fit(engine, train, input.train().labels(), input.train().classes().size())
                .classify(values);
        accuracy = new TestScore(measured.classes(), measured.labels(), probed).accuracy();
      }
      int[] given = TestScore.classify(engine, network, measured, readers, display);
      return new Features(values, given, accuracy);
    }

    private double[] features(Backbone network, ImageFolder images) throws IOException {
      ImageDataset prepared = TrainingImages.prepare(images, network.input(), readers);
      return PooledFeatures.of(engine, network, prepared, FEATURE_BATCH, readers, display);
    }
  }
}
