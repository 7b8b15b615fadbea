package org.lqf.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PlotImageTest {

  private static final int BAR = 0x7ba7d4;

  @TempDir Path folder;

  private static long pixels(BufferedImage image, int rgb) {
    int[] all = image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
    return Arrays.stream(all).filter(pixel -> (pixel & 0xffffff) == rgb).count();
  }

  @Test
  void barsAreAsLongAsTheirValues() throws IOException {
    BarPlot plot =
        new BarPlot("%", List.of(new BarPlot.Bar("a <", 30, 0), new BarPlot.Bar("b", 10, 0)));
    Path file = folder.resolve("bars.png");
    PlotImage.write(plot, file);
    BufferedImage image = ImageIO.read(file.toFile());
    assertEquals(2 * 680, image.getWidth());
    assertEquals(0xffffff, image.getRGB(2, 2) & 0xffffff);
    int upper = 2 * (30 + 3);
    int lower = 2 * (30 + 26 + 3);
    int[] lengths = new int[2];
    for (int x = 0; x < image.getWidth(); x++) {
      lengths[0] += (image.getRGB(x, upper) & 0xffffff) == BAR ? 1 : 0;
      lengths[1] += (image.getRGB(x, lower) & 0xffffff) == BAR ? 1 : 0;
    }
    assertTrue(lengths[1] > 200, "lower bar: " + lengths[1]);
    assertEquals(3.0, lengths[0] / (double) lengths[1], 0.02);
  }

  @Test
  void curvesHaveTheirColours() {
    double[] x = {1, 2, 3};
    LinePlot plot =
        new LinePlot(
            new LinePlot.Axis("x", false),
            new LinePlot.Axis("y", true),
            List.of(
                new LinePlot.Curve("rises", x, new double[] {1, 10, 100}),
                new LinePlot.Curve("falls", x, new double[] {100, 10, 1})),
            List.of(new LinePlot.Mark("here", 2)));
    BufferedImage image = PlotImage.draw(plot);
    assertTrue(pixels(image, 0x0b5cad) > 500, "first curve");
    assertTrue(pixels(image, 0xb3261e) > 300, "second curve, dashed");
  }
}
