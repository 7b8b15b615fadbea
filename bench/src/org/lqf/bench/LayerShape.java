package org.lqf.bench;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.lqf.model.Layer;
import org.lqf.model.Shape;

/**
 * A line of {@code bench/shapes/*.txt}.
 *
 * @param channels of the input
 * @param side of the input, pixels
 * @param out channels of the output; 0 where the op leaves them alone
 */
public record LayerShape(
    String name, int channels, int side, int out, int kernel, int stride, int padding) {

  /** The shape of this name. */
  public static LayerShape of(String name) throws IOException {
    try (DirectoryStream<Path> files =
        Files.newDirectoryStream(Path.of(System.getProperty("lqf.bench.shapes", "bench/shapes")))) {
      for (Path file : files) {
        for (String line : Files.readAllLines(file)) {
          String[] words = line.strip().split("\\s+");
          if (words[0].equals(name)) {
            return new LayerShape(
                name,
                number(words, 2),
                number(words, 3),
                number(words, 4),
                number(words, 5),
                Math.max(1, number(words, 6)),
                number(words, 7));
          }
        }
      }
    }
    throw new IllegalArgumentException("no shape \"%s\" in bench/shapes".formatted(name));
  }

  private static int number(String[] words, int at) {
    return at < words.length ? Integer.parseInt(words[at]) : 0;
  }

  /** Multiply-adds of a convolution of one image. */
  public double macs() {
    Layer.Conv2d conv = convolution();
    Shape y = conv.outputShape(List.of(new Shape(channels, side, side)));
    return (double) y.size() * channels * kernel * kernel;
  }

  public Layer.Conv2d convolution() {
    return new Layer.Conv2d(channels, out, kernel, kernel, stride, padding);
  }

  /** Floats of one image's input. */
  public int inputSize() {
    return channels * side * side;
  }
}
