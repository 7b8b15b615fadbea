package org.lqf.image;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.zip.CRC32;
import javax.imageio.ImageReader;

/**
 * PNG (ISO/IEC 15948): checks the chunks, then hands only those that make up the pixels to the
 * JDK's reader. Text, colour profiles and transparency never reach it.
 */
final class PngDecoder {

  private static final int SIGNATURE_BYTES = 8;
  private static final int LENGTH_TYPE_CRC_BYTES = 12;

  /** The critical chunks, which are all that pixels are made of. */
  private static final Set<String> KEPT = Set.of("IHDR", "PLTE", "IDAT", "IEND");

  private PngDecoder() {}

  static Pixels decode(byte[] file) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(file);
    in.position(SIGNATURE_BYTES);
    ByteArrayOutputStream kept = new ByteArrayOutputStream(file.length);
    kept.write(file, 0, SIGNATURE_BYTES);
    int orientation = 1;
    boolean hasSize = false;
    for (String type = ""; !type.equals("IEND"); ) {
      int start = in.position();
      int length = chunkLength(in);
      type = new String(file, start + 4, 4, StandardCharsets.ISO_8859_1);
      ByteBuffer data = in.slice(start + 8, length);
      in.position(start + LENGTH_TYPE_CRC_BYTES + length);
      boolean intact = crc(file, start + 4, 4 + length) == in.getInt(in.position() - 4);
      if (type.equals("eXIf") && intact) {
        orientation = Exif.orientation(data);
      }
      if ((type.charAt(0) & 0x20) != 0) { // ancillary, by the format's own mark
        continue;
      }
      if (!KEPT.contains(type)) {
        throw new IOException("PNG with a chunk %s, which is not known".formatted(type));
      }
      if (!intact) {
        throw new IOException(
            "damaged PNG: chunk %s at byte %d has a wrong checksum".formatted(type, start));
      }
      if (type.equals("IHDR")) {
        ImageDecoder.checkSize(
            Integer.toUnsignedLong(data.getInt()),
            Integer.toUnsignedLong(data.getInt()),
            file.length);
        hasSize = true;
      } else if (!hasSize) {
        throw new IOException("damaged PNG: chunk %s before IHDR".formatted(type));
      }
      kept.write(file, start, LENGTH_TYPE_CRC_BYTES + length);
    }
    ImageReader reader = JdkReader.png(kept.toByteArray());
    try {
      return Pixels.of(reader.read(0)).upright(orientation);
    } finally {
      reader.dispose();
    }
  }

  /**
   * Data bytes of the chunk at the position of {@code in}; the whole chunk is known to be there.
   */
  private static int chunkLength(ByteBuffer in) throws IOException {
    int start = in.position();
    int available = in.remaining() - LENGTH_TYPE_CRC_BYTES;
    long length = available < 0 ? 0 : Integer.toUnsignedLong(in.getInt(start));
    if (available < length) {
      throw new IOException("the PNG is cut off in the chunk at byte " + start);
    }
    return (int) length;
  }

  private static int crc(byte[] bytes, int from, int count) {
    CRC32 crc = new CRC32();
    crc.update(bytes, from, count);
    return (int) crc.getValue();
  }
}
