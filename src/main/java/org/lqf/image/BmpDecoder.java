package org.lqf.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Uncompressed Windows and OS/2 bitmaps of 1, 4, 8, 16, 24 or 32 bits per pixel. */
final class BmpDecoder {

  private static final int FILE_HEADER_BYTES = 14;
  private static final int OS2_HEADER_BYTES = 12;
  private static final int INFO_HEADER_BYTES = 40;
  private static final int BI_RGB = 0;
  private static final int BI_BITFIELDS = 3;
  private static final int BI_ALPHABITFIELDS = 6;

  private BmpDecoder() {}

  static Pixels decode(byte[] file) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    in.position(10);
    long pixelsAt = Integer.toUnsignedLong(in.getInt());
    int headerBytes = in.getInt();
    boolean os2 = headerBytes == OS2_HEADER_BYTES;
    if (!os2 && headerBytes < INFO_HEADER_BYTES) {
      throw new IOException(
          "BMP with a header of %d bytes, which is not known".formatted(headerBytes));
    }
    long width = os2 ? Short.toUnsignedInt(in.getShort()) : in.getInt();
    long height = os2 ? Short.toUnsignedInt(in.getShort()) : in.getInt();
    boolean topDown = height < 0;
    height = Math.abs(height);
    in.getShort(); // planes
    int bits = in.getShort();
    int compression = os2 ? BI_RGB : in.getInt();
    ImageDecoder.checkSize(width, height, file.length);
    boolean masks = compression == BI_BITFIELDS || compression == BI_ALPHABITFIELDS;
    if (compression != BI_RGB && !(masks && (bits == 16 || bits == 32))) {
      throw new IOException(
          "BMP of compression %d and %d bits; only uncompressed ones are read"
              .formatted(compression, bits));
    }
    int h = (int) height;
    int w = (int) width;
    long stride = (width * bits + 31) / 32 * 4;
    if (pixelsAt > file.length || stride * height > file.length - pixelsAt) {
      throw new IOException(
          "the BMP is cut off: %d bytes of pixels at byte %d, but the file ends at %d"
              .formatted(stride * height, pixelsAt, file.length));
    }
    Pixels out = Pixels.allocate(3, h, w);
    RowReader reader =
        switch (bits) {
          case 1, 4, 8 -> palette(in, headerBytes, os2, bits);
          case 16 -> masked(in, masks, 2, 0x7C00, 0x03E0, 0x001F);
          case 24 ->
              (at, x) -> (in.get(at + 3 * x + 2) & 0xff) << 16 | (in.getShort(at + 3 * x) & 0xffff);
          case 32 -> masked(in, masks, 4, 0xFF0000, 0xFF00, 0xFF);
          default -> throw new IOException("BMP of " + bits + " bits per pixel");
        };
    for (int y = 0, to = 0; y < h; y++) {
      int at = (int) (pixelsAt + stride * (topDown ? y : h - 1 - y));
      for (int x = 0; x < w; x++, to += 3) {
        out.setRgb(to, reader.rgb(at, x));
      }
    }
    return out;
  }

  /** 0xRRGGBB of pixel x in the row that starts at byte {@code at}. */
  private interface RowReader {
    int rgb(int at, int x);
  }

  /** Colours follow the header, blue green red (and a filler); missing ones are black. */
  private static RowReader palette(ByteBuffer in, int headerBytes, boolean os2, int bits) {
    int[] colours = new int[1 << bits];
    int entryBytes = os2 ? 3 : 4;
    int used = os2 ? 0 : in.getInt(46);
    int count = used > 0 && used < colours.length ? used : colours.length;
    long first = (long) FILE_HEADER_BYTES + headerBytes;
    for (int i = 0; i < count && first + (i + 1L) * entryBytes <= in.limit(); i++) {
      int at = (int) first + i * entryBytes;
      colours[i] = (in.get(at + 2) & 0xff) << 16 | (in.getShort(at) & 0xffff);
    }
    int perByte = 8 / bits;
    return (at, x) -> {
      int shift = 8 - bits * (x % perByte + 1);
      return colours[in.get(at + x / perByte) >> shift & ((1 << bits) - 1)];
    };
  }

  private static RowReader masked(
      ByteBuffer in, boolean given, int bytes, int red, int green, int blue) throws IOException {
    int at = FILE_HEADER_BYTES + INFO_HEADER_BYTES;
    int r = given ? in.getInt(at) : red;
    int g = given ? in.getInt(at + 4) : green;
    int b = given ? in.getInt(at + 8) : blue;
    if (r == 0 || g == 0 || b == 0) {
      throw new IOException("BMP with a colour mask of 0");
    }
    return (row, x) -> {
      int value = bytes == 2 ? in.getShort(row + 2 * x) & 0xffff : in.getInt(row + 4 * x);
      return field(value, r) << 16 | field(value, g) << 8 | field(value, b);
    };
  }

  /** The bits under a mask, scaled to 0..255 and rounded down. */
  private static int field(int value, int mask) {
    int shift = Integer.numberOfTrailingZeros(mask);
    long max = Integer.toUnsignedLong(mask) >>> shift;
    return (int) ((Integer.toUnsignedLong(value & mask) >>> shift) * 255 / max);
  }
}
