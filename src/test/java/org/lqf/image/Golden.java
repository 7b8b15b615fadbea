package org.lqf.image;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** The pictures of test-data/images-golden. */
final class Golden {

  static final Path SOURCE = Path.of("test-data", "images-golden", "source");
  static final Path DECODED = Path.of("test-data", "images-golden", "decoded");
  static final Path PREPARED = Path.of("test-data", "images-golden", "prepared");

  private Golden() {}

  static List<Path> files(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  /**
   * Reads a binary PNM as Pillow writes it: "P6\nWIDTH HEIGHT\n255\n" and the samples; P5 is grey.
   */
  static Pixels pnm(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    String[] head =
        new String(bytes, 0, Math.min(bytes.length, 40), StandardCharsets.ISO_8859_1)
            .split("\\s", 5);
    int start = head[0].length() + head[1].length() + head[2].length() + head[3].length() + 4;
    return new Pixels(
        head[0].equals("P6") ? 3 : 1,
        Integer.parseInt(head[2]),
        Integer.parseInt(head[1]),
        Arrays.copyOfRange(bytes, start, bytes.length));
  }

  /** Largest difference of two samples; sizes that differ are an error. */
  static int deviation(Pixels expected, Pixels actual) {
    if (expected.width() != actual.width()
        || expected.height() != actual.height()
        || expected.channels() != actual.channels()) {
      throw new AssertionError("expected %s, got %s".formatted(size(expected), size(actual)));
    }
    int largest = 0;
    for (int i = 0; i < expected.samples().length; i++) {
      int difference = (expected.samples()[i] & 0xff) - (actual.samples()[i] & 0xff);
      largest = Math.max(largest, Math.abs(difference));
    }
    return largest;
  }

  private static String size(Pixels pixels) {
    return pixels.channels() + "x" + pixels.height() + "x" + pixels.width();
  }
}
