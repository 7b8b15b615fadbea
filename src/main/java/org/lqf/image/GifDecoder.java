package org.lqf.image;

import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The first frame of a GIF (GIF89a specification), laid on the whole logical screen as Pillow does:
 * what the frame leaves free has the colour of the transparent entry, or of entry 0.
 */
final class GifDecoder {

  private static final int EXTENSION = 0x21;
  private static final int IMAGE = 0x2C;
  private static final int TRAILER = 0x3B;
  private static final int GRAPHIC_CONTROL = 0xF9;
  private static final int MAX_CODES = 1 << 12;

  private final ByteBuffer in;
  private int transparent; // 0 where nothing is

  GifDecoder(byte[] file) {
    this.in = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
  }

  Pixels decode() throws IOException {
    in.position(6);
    int screenWidth = unsignedShort();
    int screenHeight = unsignedShort();
    int flags = in.get();
    in.getShort(); // background colour, aspect ratio
    int[] colours = palette(flags);
    while (true) {
      switch (Byte.toUnsignedInt(in.get())) {
        case 0 -> {} // padding
        case EXTENSION -> extension();
        case IMAGE -> {
          return frame(screenWidth, screenHeight, colours);
        }
        case TRAILER -> throw new IOException("the GIF has no image");
        default -> throw new IOException("damaged GIF: no block at byte " + (in.position() - 1));
      }
    }
  }

  private Pixels frame(int screenWidth, int screenHeight, int[] globalColours) throws IOException {
    int left = unsignedShort();
    int top = unsignedShort();
    int w = unsignedShort();
    int h = unsignedShort();
    int flags = in.get();
    ImageDecoder.checkSize(w, h, in.limit());
    int width = Math.max(screenWidth, left + w);
    int height = Math.max(screenHeight, top + h);
    ImageDecoder.checkSize(width, height, in.limit());
    int[] colours = (flags & 0x80) != 0 ? palette(flags) : globalColours;
    byte[] indices = lzw(w * h);
    boolean interlaced = (flags & 0x40) != 0;
    Pixels out = Pixels.allocate(3, height, width);
    for (int i = 0; i < width * height; i++) {
      out.setRgb(3 * i, colours[transparent]);
    }
    for (int i = 0; i < h; i++) {
      int y = top + (interlaced ? interlacedRow(i, h) : i);
      for (int x = 0; x < w; x++) {
        out.setRgb(3 * (y * width + left + x), colours[indices[i * w + x] & 0xff]);
      }
    }
    return out;
  }

  /** 256 colours: the table at the position if the flags announce one, else a grey ramp. */
  private int[] palette(int flags) {
    int[] colours = new int[256];
    boolean given = (flags & 0x80) != 0;
    int count = given ? 2 << (flags & 7) : 256;
    for (int i = 0; i < count; i++) {
      colours[i] =
          given
              ? (in.get() & 0xff) << 16 | (in.get() & 0xff) << 8 | (in.get() & 0xff)
              : i * 0x010101;
    }
    return colours;
  }

  private void extension() {
    int label = Byte.toUnsignedInt(in.get());
    for (int size = unsignedByte(); size > 0; size = unsignedByte()) {
      int start = in.position();
      if (label == GRAPHIC_CONTROL && size >= 4 && (in.get(start) & 1) != 0) {
        transparent = in.get(start + 3) & 0xff;
      }
      skip(size);
    }
  }

  /**
   * Expands the sub-blocks at the position (GIF89a, appendix F).
   *
   * @param count colour indices that are wanted; more are ignored, fewer are an error
   */
  private byte[] lzw(int count) throws IOException {
    int rootBits = unsignedByte();
    if (rootBits < 1 || rootBits > 11) {
      throw new IOException("damaged GIF: codes of " + rootBits + " bits");
    }
    int clear = 1 << rootBits;
    int end = clear + 1;
    int[] prefix = new int[MAX_CODES];
    byte[] suffix = new byte[MAX_CODES];
    byte[] string = new byte[MAX_CODES]; // of one code, back to front
    for (int i = 0; i < clear; i++) {
      suffix[i] = (byte) i;
    }
    byte[] out = new byte[count];
    int written = 0;
    int bits = rootBits + 1;
    int next = end + 1;
    int previous = -1;
    byte first = 0; // first index of the previous string
    int buffer = 0;
    int buffered = 0;
    int block = 0; // bytes left in the sub-block
    while (written < count) {
      while (buffered < bits) {
        if (block == 0 && (block = unsignedByte()) == 0) {
          throw tooShort(written, count);
        }
        buffer |= unsignedByte() << buffered;
        buffered += 8;
        block--;
      }
      int code = buffer & ((1 << bits) - 1);
      buffer >>>= bits;
      buffered -= bits;
      if (code == clear) {
        bits = rootBits + 1;
        next = end + 1;
        previous = -1;
        continue;
      } else if (code == end) {
        throw tooShort(written, count);
      } else if (code > next || (code == next && previous < 0)) {
        throw new IOException("damaged GIF: code %d before it was made".formatted(code));
      }
      int length = 0;
      int walk = code;
      if (code == next) { // the string that is being made: the previous one and its own first index
        string[length++] = first;
        walk = previous;
      }
      for (; walk >= clear; walk = prefix[walk]) {
        string[length++] = suffix[walk];
      }
      first = suffix[walk];
      string[length++] = first;
      if (previous >= 0 && next < MAX_CODES) {
        prefix[next] = previous;
        suffix[next++] = first;
        if (next == 1 << bits && bits < 12) {
          bits++;
        }
      }
      previous = code;
      while (length > 0 && written < count) {
        out[written++] = string[--length];
      }
    }
    return out;
  }

  private static IOException tooShort(int written, int count) {
    return new IOException(
        "damaged GIF: its data ends after %d of %d pixels".formatted(written, count));
  }

  /** The row that comes i-th when rows are stored in four passes of steps 8, 8, 4, 2. */
  private static int interlacedRow(int i, int height) {
    int[] starts = {0, 4, 2, 1};
    int[] steps = {8, 8, 4, 2};
    for (int pass = 0; ; pass++) {
      int rows = (height - starts[pass] + steps[pass] - 1) / steps[pass];
      if (i < rows) {
        return starts[pass] + i * steps[pass];
      }
      i -= rows;
    }
  }

  private int unsignedByte() {
    return Byte.toUnsignedInt(in.get());
  }

  private int unsignedShort() {
    return Short.toUnsignedInt(in.getShort());
  }

  private void skip(int bytes) {
    if (bytes > in.remaining()) {
      throw new BufferUnderflowException();
    }
    in.position(in.position() + bytes);
  }
}
