package org.lqf.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Files that somebody else made: they decode, or an IOException says why not. */
@Timeout(120)
class HostileBytesTest {

  /** Damaged copies of each file; a soak run sets more with -Dlqf.fuzz=N. */
  private static final int COPIES = Integer.getInteger("lqf.fuzz", 20);

  static List<Path> sources() throws IOException {
    return Golden.files(Golden.SOURCE);
  }

  @ParameterizedTest
  @MethodSource("sources")
  void damageIsAnIoExceptionOrAPicture(Path source) throws IOException {
    byte[] whole = Files.readAllBytes(source);
    for (int copy = 0; copy < COPIES; copy++) {
      long seed = Seeds.mix(copy, source.getFileName().toString().hashCode());
      byte[] damaged = damage(whole, new SplittableRandom(seed));
      try {
        Pixels pixels = ImageDecoder.pixels(damaged, "f");
        assertTrue(pixels.width() > 0 && pixels.height() > 0);
      } catch (IOException e) {
        assertTrue(String.valueOf(e.getMessage()).startsWith("f: "), e.getMessage());
      } catch (RuntimeException | Error e) {
        throw new AssertionError(source + ", seed " + seed, e);
      }
    }
  }

  @Test
  void damageIsSeenAtAll() throws IOException {
    byte[] whole = Files.readAllBytes(Golden.SOURCE.resolve("rgb-420.jpg"));
    int refused = 0;
    for (int copy = 0; copy < 100; copy++) {
      try {
        ImageDecoder.pixels(damage(whole, new SplittableRandom(copy)), "f");
      } catch (IOException e) {
        refused++;
      }
    }
    assertTrue(refused > 20 && refused < 100, refused + " of 100 were refused");
  }

  @Test
  void refusesSizesThatTheFileCannotHold() throws IOException {
    byte[] jpeg = Files.readAllBytes(Golden.SOURCE.resolve("rgb-420.jpg"));
    int frame = indexOfFrame(jpeg);
    ByteBuffer.wrap(jpeg).putShort(frame + 5, (short) 9000).putShort(frame + 7, (short) 9000);
    String message =
        assertThrows(IOException.class, () -> ImageDecoder.pixels(jpeg, "f")).getMessage();
    assertEquals("f: 9000x9000 pixels cannot be in a file of " + jpeg.length + " bytes", message);
  }

  @Test
  void refusesPngWhosePixelsEndEarly() throws IOException {
    // Every chunk is intact, but there are half as many rows as the header promises.
    byte[] png = Files.readAllBytes(Golden.SOURCE.resolve("rgb.png"));
    ByteBuffer header = ByteBuffer.wrap(png);
    header.putInt(20, 2 * header.getInt(20));
    restoreChecksums(png);
    assertThrows(IOException.class, () -> ImageDecoder.pixels(png, "f"));
  }

  @Test
  void doesNotFollowLoopsInExif() {
    ByteBuffer exif = ByteBuffer.allocate(64).put(new byte[] {'M', 'M', 0, 42, 0, 0, 0, 8});
    exif.putShort((short) 0xffff); // far more entries than there are bytes
    assertEquals(1, Exif.orientation(exif.flip().limit(64)));
    assertEquals(
        1, Exif.orientation(ByteBuffer.wrap(new byte[] {'I', 'I', 42, 0, -1, -1, -1, -1})));
    assertEquals(1, Exif.orientation(ByteBuffer.allocate(0)));
  }

  /**
   * Cuts, overwrites, or repeats a part; checksums of PNG are put right, so that damage gets past
   * them.
   */
  private static byte[] damage(byte[] whole, SplittableRandom random) {
    byte[] bytes = whole.clone();
    int kind = random.nextInt(4);
    if (kind == 0) {
      bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length));
    } else if (kind == 1) {
      int from = random.nextInt(bytes.length);
      int to = random.nextInt(bytes.length);
      System.arraycopy(whole, from, bytes, to, random.nextInt(bytes.length - Math.max(from, to)));
    } else {
      // Headers are the more delicate part: half of the damage goes into the first 100 bytes.
      int range = kind == 2 ? Math.min(bytes.length, 100) : bytes.length;
      for (int i = random.nextInt(8); i >= 0; i--) {
        bytes[random.nextInt(range)] =
            random.nextBoolean() ? (byte) random.nextInt() : (byte) (random.nextBoolean() ? 0 : -1);
      }
    }
    restoreChecksums(bytes);
    return bytes;
  }

  private static void restoreChecksums(byte[] bytes) {
    if (ImageFormat.of(bytes).filter(format -> format == ImageFormat.PNG).isEmpty()) {
      return;
    }
    ByteBuffer png = ByteBuffer.wrap(bytes);
    for (int at = 8; at + 12 <= bytes.length; ) {
      int length = png.getInt(at);
      if (length < 0 || length > bytes.length - at - 12) {
        return;
      }
      CRC32 crc = new CRC32();
      crc.update(bytes, at + 4, 4 + length);
      png.putInt(at + 8 + length, (int) crc.getValue());
      at += 12 + length;
    }
  }

  private static int indexOfFrame(byte[] jpeg) {
    int i = 0;
    while (jpeg[i] != (byte) 0xff || jpeg[i + 1] != (byte) 0xc0) {
      i++;
    }
    return i;
  }
}
