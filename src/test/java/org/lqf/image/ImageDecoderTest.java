package org.lqf.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class ImageDecoderTest {

  static List<Path> sources() throws IOException {
    return Golden.files(Golden.SOURCE);
  }

  @ParameterizedTest
  @MethodSource("sources")
  void decodesAsPillowDoes(Path source) throws IOException {
    String name = source.getFileName().toString();
    Pixels expected = Golden.pnm(Golden.DECODED.resolve(name + ".ppm"));
    int deviation = Golden.deviation(expected, ImageDecoder.pixels(source).withChannels(3));
    // JPEG decoders may differ in the last bit of the inverse transform and the upsampling.
    assertTrue(deviation <= (name.endsWith(".jpg") ? 1 : 0), "deviation " + deviation);
  }

  @Test
  void everyFormatIsAmongTheGoldenFiles() throws IOException {
    assertTrue(sources().size() >= 70, "golden files are missing");
  }

  @ParameterizedTest
  @CsvSource({"grey.png, 10", "grey.jpg, 10", "rgb.png, 5", "rgb-420.jpg, 5", "grey.gif, 5"})
  void imageHasTheSamplesAndTheTypeThatIsPromised(String name, int type) throws IOException {
    BufferedImage image = ImageDecoder.decode(Golden.SOURCE.resolve(name));
    assertEquals(type, image.getType());
    Pixels expected = Golden.pnm(Golden.DECODED.resolve(name + ".ppm"));
    assertEquals(0, Golden.deviation(expected, Pixels.of(image).withChannels(3)));
  }

  @ParameterizedTest
  @CsvSource({
    "524946461a00000057454250565038200e0000, WebP",
    "49492a00080000000000000000000000000000, TIFF",
    "00000018667479706865696300000000000000, HEIF",
    "0000000c6a5020200d0a870a00000000000000, JPEG 2000",
    "ff0a00000000000000000000000000000000000, JPEG XL",
    "255044462d312e370a00000000000000000000, PDF",
  })
  void namesTheFormatItDoesNotRead(String hex, String format) {
    byte[] content = new byte[hex.length() / 2];
    for (int i = 0; i < content.length; i++) {
      content[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
    }
    String message = refusal(content);
    assertTrue(message.startsWith("f: this is " + format) && message.contains("convert"), message);
  }

  @Test
  void refusesWhatIsNoImage() {
    assertEquals("f: not an image of any known format", refusal(new byte[0]));
    assertEquals(
        "f: not an image of any known format",
        refusal("BMW and Audi, a text".getBytes(StandardCharsets.US_ASCII)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "rgb.png",
        "rgb-interlaced.png",
        "rgb-420.jpg",
        "rgb-420-progressive.jpg",
        "large.jpg",
        "cmyk.jpg",
        "palette.gif",
        "rgb.bmp",
        "palette4.bmp"
      })
  void refusesFilesThatAreCutOffAnywhere(String name) throws IOException {
    byte[] whole = Files.readAllBytes(Golden.SOURCE.resolve(name));
    // The end markers of JPEG and GIF are no pixel data; a file that lacks them is whole.
    int needed = whole.length - (name.endsWith(".jpg") ? 3 : name.endsWith(".gif") ? 4 : 1);
    for (int length = 0; length <= needed; length += Math.max(1, whole.length / 97)) {
      String message = refusal(Arrays.copyOf(whole, length));
      assertTrue(message.startsWith("f: "), message);
    }
    refusal(Arrays.copyOf(whole, needed));
  }

  @Test
  void readsBaselineJpegWithoutItsEndMarker() throws IOException {
    byte[] whole = Files.readAllBytes(Golden.SOURCE.resolve("rgb-420.jpg"));
    Pixels cut = ImageDecoder.pixels(Arrays.copyOf(whole, whole.length - 2), "f");
    assertEquals(0, Golden.deviation(ImageDecoder.pixels(whole, "f"), cut));
  }

  @Test
  void refusesPixelBombsBeforeDecoding() throws IOException {
    byte[] png = Files.readAllBytes(Golden.SOURCE.resolve("rgb.png"));
    ByteBuffer header = ByteBuffer.wrap(png).putInt(16, 100_000).putInt(20, 100_000);
    CRC32 crc = new CRC32();
    crc.update(png, 12, 17);
    header.putInt(29, (int) crc.getValue());
    assertTrue(refusal(png).startsWith("f: 100000x100000 pixels are more than the 89478485"));

    byte[] gif = Files.readAllBytes(Golden.SOURCE.resolve("palette.gif"));
    Arrays.fill(gif, 6, 10, (byte) 0xff);
    assertTrue(refusal(gif).startsWith("f: 65535x65535 pixels are more than"));

    byte[] jpeg = Files.readAllBytes(Golden.SOURCE.resolve("rgb-420.jpg"));
    int frame = indexOf(jpeg, 0xff, 0xc0);
    Arrays.fill(jpeg, frame + 5, frame + 9, (byte) 0xff);
    assertTrue(refusal(jpeg).startsWith("f: 65535x65535 pixels are more than"));
  }

  @Test
  void refusesPngOfWrongChecksum() throws IOException {
    byte[] png = Files.readAllBytes(Golden.SOURCE.resolve("rgb.png"));
    png[png.length / 2] ^= 1;
    assertTrue(refusal(png).contains("chunk IDAT at byte 33 has a wrong checksum"), refusal(png));
  }

  @Test
  void refusesJpegWithCorruptPixelData() throws IOException {
    byte[] jpeg = Files.readAllBytes(Golden.SOURCE.resolve("large.jpg"));
    Arrays.fill(jpeg, jpeg.length / 2, jpeg.length / 2 + 64, (byte) 0x55);
    Arrays.fill(jpeg, jpeg.length - 900, jpeg.length - 2, (byte) 0);
    assertTrue(refusal(jpeg).startsWith("f: Corrupt JPEG data"), refusal(jpeg));
  }

  @Test
  void refusesJpegOfEndlessScans() throws IOException {
    byte[] jpeg = Files.readAllBytes(Golden.SOURCE.resolve("rgb-420-progressive.jpg"));
    int scan = indexOf(jpeg, 0xff, 0xda);
    int end = scan + 2 + 12;
    byte[] bomb = Arrays.copyOf(jpeg, scan + 101 * (end - scan));
    for (int i = 0; i < 101; i++) {
      System.arraycopy(jpeg, scan, bomb, scan + i * (end - scan), end - scan);
    }
    assertEquals("f: JPEG of more than 100 scans", refusal(bomb));
  }

  @Test
  void readsGifThatLeavesItsTailToTheImagination() throws IOException {
    // Pixels are complete long before the second frame.
    byte[] gif = Files.readAllBytes(Golden.SOURCE.resolve("two-frames.gif"));
    Pixels expected = Golden.pnm(Golden.DECODED.resolve("two-frames.gif.ppm"));
    Pixels cut = ImageDecoder.pixels(Arrays.copyOf(gif, gif.length * 3 / 4), "f");
    assertEquals(0, Golden.deviation(expected, cut));
  }

  @Test
  void namesTheFileInEveryRefusal() {
    Path missing = Golden.SOURCE.resolve("missing.png");
    String message =
        assertThrows(IOException.class, () -> ImageDecoder.decode(missing)).getMessage();
    assertTrue(message.contains("missing.png"), message);
  }

  private static String refusal(byte[] content) {
    IOException refused = assertThrows(IOException.class, () -> ImageDecoder.decode(content, "f"));
    return String.valueOf(refused.getMessage());
  }

  private static int indexOf(byte[] bytes, int first, int second) {
    int i = 0;
    while (bytes[i] != (byte) first || bytes[i + 1] != (byte) second) {
      i++;
    }
    return i;
  }
}
