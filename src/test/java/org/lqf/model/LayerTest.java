package org.lqf.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LayerTest {

  private static Shape after(Layer layer, Shape... inputs) {
    return layer.outputShape(List.of(inputs));
  }

  /** The call fails, and its message holds every one of the texts. */
  static void refuses(Executable call, String... texts) {
    String message = assertThrows(IllegalArgumentException.class, call).getMessage();
    for (String text : texts) {
      assertTrue(message.contains(text), () -> "\"" + text + "\" is not in: " + message);
    }
  }

  @ParameterizedTest(name = "{0}×{1}, kernel {2}×{3}, stride {4}, padding {5} → {6}×{7}")
  @CsvSource({
    "32, 32, 3, 3, 1, 1, 32, 32",
    "224, 224, 7, 7, 2, 3, 112, 112",
    "7, 13, 3, 3, 2, 1, 4, 7", // stride 2 on odd sizes
    "8, 8, 1, 1, 2, 0, 4, 4",
    "1, 1, 5, 5, 1, 2, 1, 1", // kernel larger than the image
    "5, 6, 3, 5, 2, 2, 4, 3",
    "10, 4, 3, 1, 3, 0, 3, 2"
  })
  void convolutionCountsItsWindows(
      int h, int w, int kh, int kw, int stride, int padding, int oh, int ow) {
    Layer conv = new Layer.Conv2d(3, 17, kh, kw, stride, padding);
    assertEquals(new Shape(17, oh, ow), after(conv, new Shape(3, h, w)));
  }

  @Test
  void poolsRoundDownAndKeepTheChannels() {
    assertEquals(
        new Shape(64, 56, 56), after(new Layer.MaxPool2d(3, 2, 1), new Shape(64, 112, 112)));
    assertEquals(new Shape(5, 3, 3), after(new Layer.AvgPool2d(2, 2, 0), new Shape(5, 7, 6)));
    assertEquals(new Shape(5, 1, 1), after(new Layer.GlobalAvgPool(), new Shape(5, 7, 6)));
  }

  @Test
  void shortcutKeepsEveryStridethPixelFromTheFirstOn() {
    Layer shortcut = new Layer.SubsamplePadChannels(2, 8, 7);
    assertEquals(new Shape(31, 4, 3), after(shortcut, new Shape(16, 7, 6)));
  }

  @Test
  void linearTakesAnyShapeOfAsManyValues() {
    Layer linear = new Layer.Linear(24, 7);
    assertEquals(new Shape(7, 1, 1), after(linear, new Shape(24, 1, 1)));
    assertEquals(new Shape(7, 1, 1), after(linear, new Shape(4, 2, 3)));
  }

  @Test
  void refusesInputsThatDoNotFitAndSaysExpectedAndGot() {
    Shape rgb = new Shape(3, 8, 8);
    refuses(() -> after(new Layer.Conv2d(64, 128, 3, 3, 1, 1), rgb), "[128,64,3,3]", "3 channels");
    refuses(() -> after(new Layer.Linear(10, 2), rgb), "[2,10]", "[3,8,8]", "192 values");
    refuses(() -> after(new Layer.Conv2d(3, 4, 9, 9, 1, 0), rgb), "kernel 9", "8 + 2·0");
    refuses(() -> after(new Layer.MaxPool2d(9, 1, 0), rgb), "kernel 9");
    refuses(() -> after(new Layer.Add(), rgb, new Shape(3, 8, 7)), "[3,8,8]", "[3,8,7]");
    refuses(() -> after(new Layer.Add(), rgb), "two inputs, got 1");
    refuses(() -> after(new Layer.LeakyRelu(0), rgb, rgb), "one input, got 2");
  }

  @Test
  void refusesAttributesThatMeanNothing() {
    refuses(() -> new Layer.Conv2d(0, 1, 1, 1, 1, 0), "in_channels", "got 0");
    refuses(() -> new Layer.Conv2d(1, 1, 1, 1, 0, 0), "stride", "got 0");
    refuses(() -> new Layer.Conv2d(1, 1, 1, 1, 1, -1), "padding", "got -1");
    refuses(() -> new Layer.Linear(1, 0), "out_features");
    refuses(() -> new Layer.MaxPool2d(2, 2, 2), "half the kernel 2", "got 2");
    refuses(() -> new Layer.AvgPool2d(1, 1, 1), "half the kernel 1");
    refuses(() -> new Layer.LeakyRelu(-0.1f), "-0.1");
    refuses(() -> new Layer.LeakyRelu(Float.NaN), "NaN");
    refuses(() -> new Layer.LeakyRelu(Float.POSITIVE_INFINITY), "Infinity");
    refuses(() -> new Layer.SubsamplePadChannels(0, 0, 0), "stride");
  }

  @Test
  void refusesShapesBeyondTwoBillionValuesWithoutOverflow() {
    refuses(() -> new Shape(65536, 65536, 1), "2^31-1");
    refuses(() -> new Shape(1 << 20, 1 << 20, 1 << 24), "2^31-1"); // 2^64: wraps to 0
    refuses(() -> new Shape(3, 0, 5), "[3,0,5]");
    refuses(
        () -> after(new Layer.Conv2d(1, 1, 1, 1, 1, Integer.MAX_VALUE), new Shape(1, 9, 9)),
        "2^31-1");
    refuses(
        () -> after(new Layer.SubsamplePadChannels(1, Integer.MAX_VALUE, 5), new Shape(1, 9, 9)),
        "too many");
  }

  @Test
  void reluHasOneSpelling() {
    assertEquals(new Layer.LeakyRelu(0f), new Layer.LeakyRelu(-0f));
  }
}
