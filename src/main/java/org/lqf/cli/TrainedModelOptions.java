package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** What a command needs to open a {@link TrainedModel}: the model, its images, its network. */
final class TrainedModelOptions {

  @Parameters(
      index = "0",
      paramLabel = "MODEL.lqf",
      arity = "1",
      description = "Written by lqf tune.")
  private @Nullable Path file;

  @Option(
      names = "--data",
      paramLabel = "DIR",
      required = true,
      description =
          "Where the images are that it was trained on: a folder per class, or a folder with train/ and test/. "
              + "Others may lie beside them. Several times where they are in several places.")
  private List<Path> data = List.of();

  @Option(
      names = "--backbone",
      paramLabel = "NET.json",
      description = "The network it was tuned from. Default: where the model says that it lies.")
  private @Nullable Path backbone;

  Path file() {
    return Objects.requireNonNull(file);
  }

  /**
   * Opens what the options name.
   *
   * @param threads that decode images
   * @return owned by the caller
   */
  TrainedModel open(Engine engine, int threads, ProgressDisplay display) throws IOException {
    return TrainedModel.open(engine, file(), backbone, data, threads, display);
  }
}
