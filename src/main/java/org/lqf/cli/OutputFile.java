package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Checks before the work that its result can be stored after it. */
final class OutputFile {

  private OutputFile() {}

  /**
   * @param bytes that are about to be written in its folder
   * @throws IOException saying what is in the way
   */
  static void check(Path file, long bytes) throws IOException {
    Path folder = folder(file);
    if (!Files.isDirectory(folder)) {
      throw new IOException(
          "%s: the folder %s does not exist; create it first".formatted(file, folder));
    }
    if (Files.isDirectory(file)) {
      throw new IOException(file + ": is a folder, expected the name of a file to write");
    }
    if (!Files.isWritable(folder)) {
      throw new IOException("%s: cannot write in the folder %s".formatted(file, folder));
    }
    long free =
        folder.toFile().getUsableSpace(); // FileStore asks mtab, which lacks a chroot's root
    if (free < bytes) {
      throw new IOException(
          "%s: needs %.1f MB, but only %.1f MB are free in %s"
              .formatted(file, bytes / 1e6, free / 1e6, folder));
    }
  }

  /** The folder that a file lies in. */
  static Path folder(Path file) {
    Path folder = file.toAbsolutePath().getParent();
    return folder == null ? file.toAbsolutePath() : folder;
  }
}
