package org.lqf.model;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;

/**
 * Replaces a file as a whole: readers, and a machine that loses power, see the old content or the
 * new one. The data goes to a temporary file in the same folder, is synced to the disk, and is then
 * renamed over the target.
 */
public final class AtomicFile {

  /** Writes the whole content, in order. */
  public interface Content {
    void writeTo(FileChannel channel) throws IOException;
  }

  private AtomicFile() {}

  /**
   * Writes.
   *
   * @throws IOException that names the file
   */
  public static void write(Path target, Content content) throws IOException {
    Path absolute = target.toAbsolutePath();
    Path name = absolute.getFileName();
    Path folder = absolute.getParent();
    if (name == null || folder == null || !Files.isDirectory(folder)) {
      throw new IOException(target + ": its folder does not exist; create it first");
    }
    // NOTE: not Files.createTempFile, which would leave the result readable by its owner only
    Path temporary = folder.resolve("." + name + "." + UUID.randomUUID() + ".tmp");
    try {
      try (FileChannel channel =
          FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        content.writeTo(channel);
        channel.force(true);
      } catch (FileSystemException e) {
        throw e;
      } catch (IOException e) { // a full disk, without the name of the file
        throw new IOException("%s: %s".formatted(target, e.getMessage()), e);
      }
      Files.move(
          temporary, absolute, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
    try (FileChannel directory = FileChannel.open(folder, StandardOpenOption.READ)) {
      directory.force(true); // the rename itself
    }
  }

  /** Writes the rest of a buffer. */
  public static void writeFully(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }
}
