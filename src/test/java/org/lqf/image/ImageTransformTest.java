package org.lqf.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class ImageTransformTest {

  private static final float[] NO_MEAN = {0, 0, 0};
  private static final float[] UNIT_STD = {1, 1, 1};

  static List<Path> prepared() throws IOException {
    return Golden.files(Golden.PREPARED);
  }

  @ParameterizedTest
  @MethodSource("prepared")
  void resizesAndCropsAsPillowDoes(Path expected) throws IOException {
    Matcher name =
        Pattern.compile("(.*)-(\\d+)x(\\d+)x(\\d+)\\.pnm")
            .matcher(expected.getFileName().toString());
    assertTrue(name.matches(), "unexpected golden file " + expected);
    ImageTransform transform =
        raw(
            Integer.parseInt(name.group(2)),
            Integer.parseInt(name.group(3)),
            Integer.parseInt(name.group(4)));
    Pixels actual = transform.fit(ImageDecoder.pixels(Golden.SOURCE.resolve(name.group(1))));
    int deviation = Golden.deviation(Golden.pnm(expected), actual);
    assertTrue(deviation <= (name.group(1).endsWith(".jpg") ? 1 : 0), "deviation " + deviation);
  }

  @Test
  void goldenFilesAreThere() throws IOException {
    assertTrue(prepared().size() >= 80, "golden files are missing");
  }

  @Test
  void normalisesChannelByChannelInFloat() {
    BufferedImage image = new BufferedImage(2, 1, BufferedImage.TYPE_INT_RGB);
    image.setRGB(0, 0, 0x336699);
    image.setRGB(1, 0, 0xff0001);
    ImageTransform transform =
        new ImageTransform(
            3, 1, 2, new float[] {0.485f, 0.456f, 0.406f}, new float[] {0.229f, 0.224f, 0.225f});
    float[] expected = {
      (0x33 / 255f - 0.485f) / 0.229f, (0xff / 255f - 0.485f) / 0.229f,
      (0x66 / 255f - 0.456f) / 0.224f, (0x00 / 255f - 0.456f) / 0.224f,
      (0x99 / 255f - 0.406f) / 0.225f, (0x01 / 255f - 0.406f) / 0.225f,
    };
    assertArrayEquals(expected, transform.apply(image));
  }

  @Test
  void applyIntoWritesItsOwnFloatsOnly() {
    float[] out = new float[3 * 4 + 2];
    out[0] = 7;
    out[13] = 8;
    BufferedImage white = new BufferedImage(2, 2, BufferedImage.TYPE_3BYTE_BGR);
    white
        .getRaster()
        .setPixels(
            0, 0, 2, 2, new int[] {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255});
    raw(3, 2, 2).applyInto(white, out, 1);
    assertArrayEquals(new float[] {7, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 8}, out);
    assertThrows(IndexOutOfBoundsException.class, () -> raw(3, 2, 2).applyInto(white, out, 3));
  }

  @ParameterizedTest
  @CsvSource({"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13"})
  void takesEveryBufferedImageType(int type) {
    BufferedImage image = new BufferedImage(3, 2, type);
    for (int y = 0; y < 2; y++) {
      for (int x = 0; x < 3; x++) {
        image.setRGB(x, y, (x + y) % 2 == 0 ? 0xffffffff : 0xff000000);
      }
    }
    float[] expected = {1, 0, 1, 0, 1, 0};
    float[] actual = raw(1, 2, 3).apply(image);
    assertArrayEquals(expected, actual);
  }

  @Test
  void takesSubimages() throws IOException {
    BufferedImage whole = ImageDecoder.decode(Golden.SOURCE.resolve("large.png"));
    BufferedImage part = whole.getSubimage(11, 7, 40, 30);
    BufferedImage copy = new BufferedImage(40, 30, BufferedImage.TYPE_INT_RGB);
    copy.setRGB(0, 0, 40, 30, part.getRGB(0, 0, 40, 30, null, 0, 40), 0, 40);
    assertArrayEquals(raw(3, 16, 16).apply(copy), raw(3, 16, 16).apply(part));
  }

  @Test
  void keepsPicturesOfTheRightSizeUntouched() throws IOException {
    Pixels picture = ImageDecoder.pixels(Golden.SOURCE.resolve("rgb.png"));
    Pixels same = raw(3, picture.height(), picture.width()).fit(picture);
    assertEquals(0, Golden.deviation(picture, same));
  }

  @Test
  void thinStripsNeedNoMoreMemoryThanTheirResult() {
    Pixels strip = Pixels.allocate(1, 1, 3_000_000);
    assertEquals(224 * 224, raw(1, 224, 224).fit(strip).samples().length);
  }

  @Test
  void rejectsWhatIsNoImageShape() {
    assertThrows(IllegalArgumentException.class, () -> raw(2, 8, 8));
    assertThrows(IllegalArgumentException.class, () -> raw(3, 0, 8));
    assertThrows(IllegalArgumentException.class, () -> raw(3, 30_000, 30_000));
    float[] zero = {1, 0, 1};
    assertThrows(IllegalArgumentException.class, () -> new ImageTransform(3, 8, 8, NO_MEAN, zero));
    float[] short2 = {0, 0};
    assertThrows(
        IllegalArgumentException.class, () -> new ImageTransform(3, 8, 8, short2, UNIT_STD));
  }

  @Test
  void isAValue() {
    assertEquals(raw(3, 8, 9), raw(3, 8, 9));
    assertEquals(raw(3, 8, 9).hashCode(), raw(3, 8, 9).hashCode());
    ImageTransform transform = raw(3, 8, 9);
    transform.std()[0] = 5;
    assertEquals(raw(3, 8, 9), transform);
  }

  private static ImageTransform raw(int channels, int height, int width) {
    return new ImageTransform(
        channels,
        height,
        width,
        Arrays.copyOf(NO_MEAN, channels),
        Arrays.copyOf(UNIT_STD, Math.min(channels, 3)));
  }
}
