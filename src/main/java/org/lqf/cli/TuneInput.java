package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/**
 * What {@code lqf tune} and {@code lqf plan} start from: a network and images, else the shipped.
 */
final class TuneInput {

  private static final String NETWORK =
      "test-data/resnet20-leaky0.1-own/resnet20-leaky0.1-own.json";
  private static final String IMAGES = "test-data/fashion10";

  @Option(
      names = "--backbone",
      paramLabel = "NET.json",
      description = "Graph of the pre-trained network, its weights beside it. Default: shipped.")
  private @Nullable Path backbone;

  @Option(
      names = "--data",
      paramLabel = "DIR",
      description =
          "A folder per class with images inside, or train/ and test/ with such folders. "
              + "Default: shipped.")
  private @Nullable Path data;

  @Mixin private final ImageOptions images = new ImageOptions();

  /** See {@link ImageOptions#check}. */
  void check(CommandSpec command) {
    images.check(command);
  }

  /** The network's graph. */
  Path graph(CommandSpec command) {
    return backbone != null ? backbone : shipped(command, "--backbone", NETWORK);
  }

  /** See {@link ImageOptions#read}. */
  TrainingData images(CommandSpec command, long seed) throws IOException {
    return images.read(command, data != null ? data : shipped(command, "--data", IMAGES), seed);
  }

  private static Path shipped(CommandSpec command, String option, String relative) {
    Path path = Path.of(System.getProperty("lqf.home", "")).resolve(relative);
    if (!Files.exists(path)) {
      throw ImageOptions.usage(
          command, "give %s; the shipped default %s is not there".formatted(option, path));
    }
    return path;
  }
}
