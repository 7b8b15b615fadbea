package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where the state of a training lies while it runs: beside its result. */
final class CheckpointPath {

  private CheckpointPath() {}

  /**
   * The file, there only if it is to be taken up. If it is still there at the end of the process,
   * people are told how to go on.
   */
  static Path beside(Path result, boolean resume, PrintWriter err, ProgressDisplay display)
      throws IOException {
    Path file = result.resolveSibling(result.getFileName() + ".checkpoint");
    if (!resume && Files.deleteIfExists(file)) {
      display.note("discarded the checkpoint of an interrupted run; --resume would have used it");
    } else if (resume && !Files.exists(file)) {
      display.note("there is no checkpoint %s; starting from the beginning".formatted(file));
    }
    Thread atExit =
        new Thread(
            () -> {
              if (Files.exists(file)) { // the training did not come to its end
                display.clear();
                err.printf("lqf: to go on from %s, add --resume to the same command%n", file);
                err.flush();
              }
            });
    Runtime.getRuntime().addShutdownHook(atExit);
    return file;
  }
}
