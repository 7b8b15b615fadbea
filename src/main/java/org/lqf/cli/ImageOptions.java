package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** Which images of a folder are trained on, and which are tested on. */
final class ImageOptions {

  @Option(names = "--test", paramLabel = "DIR", description = "Test images, a folder per class.")
  private @Nullable Path test;

  @Option(
      names = "--holdout",
      paramLabel = "PART",
      description = "Sets this part of each class aside for testing, such as 0.2.")
  private @Nullable Double holdout;

  @Option(
      names = "--limit-per-class",
      paramLabel = "N",
      description = "Trains on the first N images of each class only.")
  private @Nullable Integer limit;

  /**
   * @throws ParameterException if the values contradict each other or are out of range
   */
  void check(CommandSpec command) {
    if (test != null && holdout != null) {
      throw usage(command, "--test and --holdout both say what to test on; give one of them");
    }
    if (holdout != null && !(holdout > 0 && holdout < 1)) {
      throw usage(command, "--holdout must lie between 0 and 1, got " + holdout);
    }
    if (limit != null && limit < 1) {
      throw usage(command, "--limit-per-class must be at least 1, got " + limit);
    }
  }

  /**
   * @param seed of the images that are set aside
   * @throws ParameterException if the values do not fit the folder
   */
  TrainingData read(CommandSpec command, Path data, long seed) throws IOException {
    TrainingData images;
    try {
      images = TrainingData.read(data, test, holdout, seed);
    } catch (IllegalArgumentException e) {
      throw usage(command, e.getMessage());
    }
    return limit == null ? images : images.limitPerClass(limit);
  }

  /** Misuse of an option. */
  static ParameterException usage(CommandSpec command, @Nullable String sentence) {
    return new ParameterException(command.commandLine(), String.valueOf(sentence));
  }

  /** What options give; values out of range are misuse. */
  static <T> T usage(CommandSpec command, Supplier<T> values) {
    try {
      return values.get();
    } catch (IllegalArgumentException e) {
      throw usage(command, e.getMessage());
    }
  }
}
