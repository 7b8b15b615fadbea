package org.lqf.model;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFileTest {

  @TempDir Path folder;

  private static AtomicFile.Content text(String text) {
    return channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(text.getBytes(UTF_8)));
  }

  private List<String> filesInFolder() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }

  @Test
  void replacesTheWholeFile() throws IOException {
    Path target = folder.resolve("x");
    AtomicFile.write(target, text("a long old content"));
    AtomicFile.write(target, text("new"));
    assertEquals("new", Files.readString(target));
    assertEquals(List.of("x"), filesInFolder());
  }

  @Test
  void aFailureInTheMiddleLeavesTheOldFileAndNothingElse() throws IOException {
    Path target = folder.resolve("x");
    AtomicFile.write(target, text("old"));
    AtomicFile.Content fails =
        channel -> {
          text("half of the").writeTo(channel);
          throw new IOException("disk full");
        };
    assertThrows(IOException.class, () -> AtomicFile.write(target, fails));
    assertEquals("old", Files.readString(target));
    assertEquals(List.of("x"), filesInFolder());
  }

  @Test
  void othersMayReadTheFileAsTheUsersSettingsSay() throws IOException {
    Path plain = Files.writeString(folder.resolve("plain"), "");
    Path target = folder.resolve("x");
    AtomicFile.write(target, text("x"));
    assertEquals(Files.getPosixFilePermissions(plain), Files.getPosixFilePermissions(target));
  }

  @Test
  void aMissingFolderIsNamed() {
    Path target = folder.resolve("none").resolve("x");
    String message =
        assertThrows(IOException.class, () -> AtomicFile.write(target, text("x"))).getMessage();
    assertTrue(message.contains(target + ": its folder does not exist"), message);
  }
}
