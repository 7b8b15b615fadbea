package org.lqf.image;

import java.awt.image.Raster;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import javax.imageio.ImageReader;

/**
 * JPEG (ITU-T T.81): walks the segments, then hands only tables, frame and scans to the JDK's
 * reader, behind one application marker that says which colours the components are. Which ones they
 * are is decided here, as libjpeg does (jdapimin.c, default_decompress_parms), since the readers of
 * different JDKs differ.
 */
final class JpegDecoder {

  private static final int SOF0 = 0xC0; // baseline
  private static final int SOF2 = 0xC2; // progressive
  private static final int DHT = 0xC4;
  private static final int DAC = 0xCC;
  private static final int SOF15 = 0xCF;
  private static final int RST0 = 0xD0;
  private static final int RST7 = 0xD7;
  private static final int SOI = 0xD8;
  private static final int EOI = 0xD9;
  private static final int SOS = 0xDA;
  private static final int DQT = 0xDB;
  private static final int DRI = 0xDD;
  private static final int APP0 = 0xE0;
  private static final int APP1 = 0xE1;
  private static final int APP14 = 0xEE;

  /**
   * Scans of a progressive file; encoders write about ten, and each costs a pass over the image.
   */
  private static final int MAX_SCANS = 100;

  private static final int ABSENT = -1;

  private final byte[] file;
  private final ByteBuffer in;

  /** Tables, frame and scans. */
  private final ByteArrayOutputStream kept;

  private int frame = ABSENT; // SOF0..SOF2
  private byte[] componentIds = {};
  private int scans;
  private boolean lastScanHasAll;
  private boolean jfif;
  private int adobeTransform = ABSENT;
  private int orientation = 1;

  JpegDecoder(byte[] file) {
    this.file = file;
    this.in = ByteBuffer.wrap(file);
    this.kept = new ByteArrayOutputStream(file.length + 32);
  }

  Pixels decode() throws IOException {
    boolean ended = walk();
    if (scans == 0) {
      throw new IOException("the JPEG has no pixel data" + (ended ? "" : ", it is cut off"));
    }
    // Without its end marker a file is whole only if its single scan is, which the decoder tells.
    if (!ended && !(scans == 1 && lastScanHasAll && frame != SOF2)) {
      throw new IOException("the JPEG is cut off after " + file.length + " bytes");
    }
    return read(assemble()).upright(orientation);
  }

  /** Visits all segments; returns whether the end marker was found. */
  private boolean walk() throws IOException {
    in.position(2);
    for (int marker = nextMarker(); marker != ABSENT; marker = nextMarker()) {
      if (marker == EOI) {
        return true;
      } else if (marker == SOI || (marker >= RST0 && marker <= RST7) || marker <= 1) {
        continue; // stands alone
      }
      int start = in.position();
      if (in.remaining() < 2 || in.remaining() < Short.toUnsignedInt(in.getShort(start))) {
        return false;
      }
      int length = Short.toUnsignedInt(in.getShort(start));
      if (length < 2) {
        throw new IOException(
            "damaged JPEG: segment at byte %d has length %d".formatted(start, length));
      }
      ByteBuffer data = in.slice(start + 2, length - 2);
      in.position(start + length);
      if (marker == DHT || marker == DQT || marker == DRI) {
        keep(marker, start, length);
      } else if (marker >= SOF0 && marker <= SOF15 && marker != DAC) {
        frame(marker, data);
        keep(marker, start, length);
      } else if (marker == SOS) {
        scan(data);
        keep(marker, start, length);
        skipEntropyCoded();
        kept.write(file, start + length, in.position() - start - length);
      } else if (marker == APP0) {
        jfif |= startsWith(data, "JFIF\0");
      } else if (marker == APP14 && startsWith(data, "Adobe") && data.limit() >= 12) {
        adobeTransform = data.get(11);
      } else if (marker == APP1 && startsWith(data, "Exif\0\0")) {
        orientation = Exif.orientation(data.position(6));
      }
    }
    return false;
  }

  /** Moves behind the next marker and returns it, or ABSENT at the end of the file. */
  private int nextMarker() {
    while (in.hasRemaining()) {
      if (in.get() == (byte) 0xFF) {
        while (in.hasRemaining()) {
          int marker = Byte.toUnsignedInt(in.get());
          if (marker == 0) {
            break; // a stuffed byte, no marker
          } else if (marker != 0xFF) {
            return marker;
          }
        }
      }
    }
    return ABSENT;
  }

  private void frame(int marker, ByteBuffer data) throws IOException {
    if (marker > SOF2) {
      throw new IOException(
          "JPEG of an uncommon kind (SOF%d: %s); convert it to baseline JPEG or PNG"
              .formatted(
                  marker - SOF0,
                  marker < 0xC9 && marker > 0xC3
                      ? "hierarchical"
                      : marker == 0xC3 ? "lossless" : "arithmetic coding"));
    }
    if (frame != ABSENT) {
      throw new IOException("damaged JPEG: two frames");
    }
    frame = marker;
    int bits = data.get();
    int height = Short.toUnsignedInt(data.getShort());
    int width = Short.toUnsignedInt(data.getShort());
    int components = data.get();
    if (bits != 8) {
      throw new IOException("JPEG of " + bits + " bits per sample; only 8 are read");
    }
    if (components != 1 && components != 3 && components != 4) {
      throw new IOException("JPEG of %d components; 1, 3 or 4 are read".formatted(components));
    }
    ImageDecoder.checkSize(width, height, file.length);
    componentIds = new byte[components];
    for (int c = 0; c < components; c++) {
      componentIds[c] = data.get();
      data.getShort(); // sampling factors, table
    }
  }

  private void scan(ByteBuffer data) throws IOException {
    if (frame == ABSENT) {
      throw new IOException("damaged JPEG: a scan before the frame");
    }
    if (++scans > MAX_SCANS) {
      throw new IOException("JPEG of more than " + MAX_SCANS + " scans");
    }
    lastScanHasAll = data.get() == componentIds.length;
  }

  /** Moves to the next marker that is no restart marker, or to the end of the file. */
  private void skipEntropyCoded() {
    int i = in.position();
    while (i < file.length) {
      if (file[i] == (byte) 0xFF && i + 1 < file.length) {
        int next = Byte.toUnsignedInt(file[i + 1]);
        if (next != 0 && next != 0xFF && (next < RST0 || next > RST7)) {
          break;
        }
      }
      i++;
    }
    in.position(i);
  }

  private void keep(int marker, int start, int length) {
    kept.write(0xFF);
    kept.write(marker);
    kept.write(file, start, length);
  }

  private byte[] assemble() {
    ByteArrayOutputStream out = new ByteArrayOutputStream(kept.size() + 32);
    out.writeBytes(new byte[] {(byte) 0xFF, (byte) SOI});
    if (componentIds.length == 4 || isRgb()) {
      out.writeBytes(new byte[] {(byte) 0xFF, (byte) APP14, 0, 14});
      out.writeBytes("Adobe\0d\0\0\0\0".getBytes(StandardCharsets.ISO_8859_1));
      out.write(isYcck() ? 2 : 0);
    } else {
      out.writeBytes(new byte[] {(byte) 0xFF, (byte) APP0, 0, 16});
      out.writeBytes("JFIF\0\1\1\0\0\1\0\1\0\0".getBytes(StandardCharsets.ISO_8859_1));
    }
    out.writeBytes(kept.toByteArray());
    out.writeBytes(new byte[] {(byte) 0xFF, (byte) EOI});
    return out.toByteArray();
  }

  private boolean isRgb() {
    return componentIds.length == 3
        && !jfif
        && (adobeTransform == ABSENT
            ? Arrays.equals(componentIds, new byte[] {'R', 'G', 'B'})
            : adobeTransform == 0);
  }

  private boolean isYcck() {
    return componentIds.length == 4 && adobeTransform != ABSENT && adobeTransform != 0;
  }

  private Pixels read(byte[] stream) throws IOException {
    ImageReader reader = JdkReader.jpeg(stream);
    try {
      List<String> warnings = new ArrayList<>();
      reader.addIIOReadWarningListener((source, warning) -> warnings.add(warning));
      Pixels pixels =
          componentIds.length == 4
              ? inkToRgb(reader.readRaster(0, null))
              : Pixels.of(reader.read(0));
      for (String warning : warnings) {
        // libjpeg's own words. Padding between segments is common and harmless.
        if (warning.startsWith("Corrupt JPEG data") && !warning.contains("extraneous bytes")) {
          throw new IOException(warning);
        }
      }
      return pixels;
    } finally {
      reader.dispose();
    }
  }

  /**
   * CMYK or YCCK, stored inverted as Adobe does, to RGB: out = k − ink·k, as Pillow (Convert.c,
   * cmyk2rgb) and libjpeg (jdcolor.c, ycck_cmyk_convert) do, in their integer arithmetic.
   */
  private Pixels inkToRgb(Raster raster) {
    int w = raster.getWidth();
    int h = raster.getHeight();
    Pixels out = Pixels.allocate(3, h, w);
    boolean ycck = isYcck();
    int[] row = new int[4 * w];
    for (int y = 0, to = 0; y < h; y++) {
      raster.getPixels(0, y, w, 1, row);
      for (int x = 0; x < 4 * w; x += 4, to += 3) {
        int c = 255 - row[x];
        int m = 255 - row[x + 1];
        int e = 255 - row[x + 2];
        int k = row[x + 3];
        if (ycck) {
          int luma = row[x];
          int cb = row[x + 1] - 128;
          int cr = row[x + 2] - 128;
          c = clip(luma + ((91881 * cr + 32768) >> 16));
          m = clip(luma + ((-22554 * cb - 46802 * cr + 32768) >> 16));
          e = clip(luma + ((116130 * cb + 32768) >> 16));
        }
        out.setRgb(to, (k - scale(c, k)) << 16 | (k - scale(m, k)) << 8 | (k - scale(e, k)));
      }
    }
    return out;
  }

  /** a·b/255, rounded, without a division. */
  private static int scale(int a, int b) {
    int t = a * b + 128;
    return ((t >> 8) + t) >> 8;
  }

  private static int clip(int value) {
    return Math.min(Math.max(value, 0), 255);
  }

  private static boolean startsWith(ByteBuffer data, String prefix) {
    byte[] wanted = prefix.getBytes(StandardCharsets.ISO_8859_1);
    return data.limit() >= wanted.length
        && data.slice(0, wanted.length).equals(ByteBuffer.wrap(wanted));
  }
}
