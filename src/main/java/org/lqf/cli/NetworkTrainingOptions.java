package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.lqf.model.TrainableNetwork;
import org.lqf.pretrain.Schedule;
import org.lqf.pretrain.SgdConfig;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** What {@code lqf pretrain} and {@code lqf adapt} have in common: images, SGD, and where to. */
final class NetworkTrainingOptions {

  private static final double MOMENTUM = 0.9;

  @Option(
      names = "--data",
      paramLabel = "DIR",
      required = true,
      description = "A folder per class with images inside, or train/ and test/ with such folders.")
  private @Nullable Path data;

  @Mixin private final ImageOptions images = new ImageOptions();

  @Option(
      names = "--out",
      paramLabel = "NET.json",
      required = true,
      description =
          "Where to write the network, its weights beside it as NET.safetensors; "
              + "NET.json.checkpoint lies there while it trains.")
  private @Nullable Path out;

  @Option(names = "--force", description = "Replaces the network if it is there.")
  private boolean force;

  @Option(
      names = "--resume",
      description =
          "Goes on from the checkpoint of a run with the same options that was interrupted. "
              + "Without it, such a checkpoint is discarded.")
  private boolean resume;

  @Option(
      names = "--metrics-json",
      paramLabel = "FILE",
      description = "Writes the results for machines, replacing the file.")
  private @Nullable Path metrics;

  @Option(
      names = "--size",
      paramLabel = "PX",
      description = "Side of the square that images are brought to. Default: the network's own.")
  private int size;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      description = "Passes over the images. Default: ${DEFAULT-VALUE}.")
  private int epochs;

  @Option(
      names = "--batch",
      paramLabel = "N",
      description = "Images of a step. Default: ${DEFAULT-VALUE}.")
  private int batch;

  @Option(
      names = "--learning-rate",
      paramLabel = "X",
      description = "The largest of the schedule. Default: ${DEFAULT-VALUE}.")
  private double rate;

  @Option(
      names = "--schedule",
      paramLabel = "NAME",
      description =
          "cosine (up for a tenth of the steps, then down to 0), step (a tenth from the half on, a "
              + "hundredth in the last quarter) or constant. Default: cosine.")
  private Schedule schedule = Schedule.COSINE;

  @Option(
      names = "--weight-decay",
      paramLabel = "X",
      description = "X times the weights is added to the gradient. Default: ${DEFAULT-VALUE}.")
  private double weightDecay;

  @Option(
      names = "--augment",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description =
          "Shifts images by up to an eighth and flips them, anew in every epoch. Default: it does.")
  private boolean augment = true;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "Of all that is random. Default: ${DEFAULT-VALUE}.")
  private long seed = 1;

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  NetworkTrainingOptions(int epochs, int batch, double rate, double weightDecay) {
    this.epochs = epochs;
    this.batch = batch;
    this.rate = rate;
    this.weightDecay = weightDecay;
  }

  Path out() {
    return Objects.requireNonNull(out);
  }

  @Nullable Path metrics() {
    return metrics;
  }

  boolean resume() {
    return resume;
  }

  boolean quiet() {
    return quiet;
  }

  long seed() {
    return seed;
  }

  /**
   * @param readers threads that decode images
   */
  SgdConfig sgd(CommandSpec command, int readers) {
    try {
      return new SgdConfig(
          epochs, batch, rate, schedule, MOMENTUM, true, weightDecay, augment, readers, seed);
    } catch (IllegalArgumentException e) {
      throw ImageOptions.usage(command, e.getMessage());
    }
  }

  /** The images, after a check of the options that name them. */
  TrainingData images(CommandSpec command) throws IOException {
    images.check(command);
    return images.read(command, Objects.requireNonNull(data), seed);
  }

  /** The network for images of the wanted size. */
  TrainableNetwork sized(CommandSpec command, TrainableNetwork network) {
    if (size < 0) {
      throw ImageOptions.usage(command, "--size must be at least 1, got " + size);
    }
    try {
      return size == 0 ? network : network.withInputSize(size, size);
    } catch (IllegalArgumentException e) {
      throw ImageOptions.usage(command, e.getMessage());
    }
  }

  /** Checks that the results can be written. */
  void checkOutputs(CommandSpec command, TrainableNetwork network) throws IOException {
    if (!out().toString().endsWith(".json")) {
      throw ImageOptions.usage(command, "--out must end in .json, got " + out());
    }
    if (Files.exists(out()) && !force) {
      throw new IOException(out() + " is already there; give --force to replace it");
    }
    // A checkpoint has two vectors of floats, and lies beside the one it replaces.
    OutputFile.check(out(), 20 * network.graph().parameters());
    if (metrics != null) {
      OutputFile.check(metrics, 1);
    }
  }
}
