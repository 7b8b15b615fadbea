package org.lqf.image;

import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.DirectColorModel;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;

/**
 * A decoded image: 8-bit samples, one channel (grey) or three (red, green, blue).
 *
 * @param channels 1 or 3
 * @param samples [height, width, channels], not copied
 */
record Pixels(int channels, int height, int width, byte[] samples) {

  Pixels {
    if (samples.length != Math.multiplyExact(Math.multiplyExact(height, width), channels)) {
      throw new IllegalArgumentException(
          "%dx%d pixels of %d channels, but %d samples"
              .formatted(width, height, channels, samples.length));
    }
  }

  static Pixels allocate(int channels, int height, int width) {
    return new Pixels(channels, height, width, new byte[height * width * channels]);
  }

  /**
   * The samples of any image, without colour management: they are taken as they are stored. Alpha
   * is dropped, not blended; 16-bit samples keep their upper byte; b-bit samples are scaled by
   * 255/(2^b−1), rounded down. A palette is looked up and gives three channels. Only images whose
   * samples are neither grey nor red-green-blue go through {@link BufferedImage#getRGB}.
   */
  static Pixels of(BufferedImage image) {
    ColorModel model = image.getColorModel();
    int space = model.getColorSpace().getType();
    boolean grey = space == ColorSpace.TYPE_GRAY;
    if (model instanceof IndexColorModel palette) {
      return ofPalette(image.getRaster(), palette);
    } else if ((grey || space == ColorSpace.TYPE_RGB)
        && !(model.hasAlpha() && model.isAlphaPremultiplied())
        && hasUnsignedSamples(model)) {
      return ofBands(image.getRaster(), model, grey ? 1 : 3);
    }
    return ofRgb(image);
  }

  private static boolean hasUnsignedSamples(ColorModel model) {
    int type = model.getTransferType();
    return type == DataBuffer.TYPE_BYTE
        || type == DataBuffer.TYPE_USHORT
        || model instanceof DirectColorModel;
  }

  private static Pixels ofBands(Raster raster, ColorModel model, int channels) {
    int h = raster.getHeight();
    int w = raster.getWidth();
    int bands = raster.getNumBands();
    Pixels out = allocate(channels, h, w);
    int[] row = new int[w * bands];
    for (int y = 0, to = 0; y < h; y++) {
      raster.getPixels(raster.getMinX(), raster.getMinY() + y, w, 1, row);
      for (int x = 0; x < w; x++) {
        for (int c = 0; c < channels; c++) {
          out.samples[to++] = toByte(row[x * bands + c], model.getComponentSize(c));
        }
      }
    }
    return out;
  }

  private static Pixels ofPalette(Raster raster, IndexColorModel palette) {
    int h = raster.getHeight();
    int w = raster.getWidth();
    Pixels out = allocate(3, h, w);
    int[] row = new int[w];
    for (int y = 0, to = 0; y < h; y++) {
      raster.getPixels(raster.getMinX(), raster.getMinY() + y, w, 1, row);
      for (int x = 0; x < w; x++, to += 3) {
        out.setRgb(to, row[x] < palette.getMapSize() ? palette.getRGB(row[x]) : 0);
      }
    }
    return out;
  }

  private static Pixels ofRgb(BufferedImage image) {
    int h = image.getHeight();
    int w = image.getWidth();
    Pixels out = allocate(3, h, w);
    int[] row = new int[w];
    for (int y = 0, to = 0; y < h; y++) {
      image.getRGB(0, y, w, 1, row, 0, w);
      for (int x = 0; x < w; x++, to += 3) {
        out.setRgb(to, row[x]);
      }
    }
    return out;
  }

  private static byte toByte(int sample, int bits) {
    if (bits == 8) {
      return (byte) sample;
    }
    return (byte) (bits > 8 ? sample >> (bits - 8) : sample * 255 / ((1 << bits) - 1));
  }

  /** Stores 0xRRGGBB at {@code samples[at..at+2]}. */
  void setRgb(int at, int rgb) {
    samples[at] = (byte) (rgb >> 16);
    samples[at + 1] = (byte) (rgb >> 8);
    samples[at + 2] = (byte) rgb;
  }

  /**
   * The same picture in grey or in colour. Grey from colour is ITU-R 601 luma in the fixed-point
   * form of Pillow's mode L (Convert.c), colour from grey repeats the sample.
   *
   * @param wanted 1 or 3
   */
  Pixels withChannels(int wanted) {
    if (wanted == channels) {
      return this;
    }
    Pixels out = allocate(wanted, height, width);
    for (int i = 0; i < height * width; i++) {
      if (wanted == 1) {
        int r = samples[3 * i] & 0xff;
        int g = samples[3 * i + 1] & 0xff;
        int b = samples[3 * i + 2] & 0xff;
        out.samples[i] = (byte) ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16);
      } else {
        out.setRgb(3 * i, (samples[i] & 0xff) * 0x010101);
      }
    }
    return out;
  }

  /**
   * Turns the picture upright.
   *
   * @param orientation EXIF tag 0x0112: 1 upright, 2 mirrored, 3 upside down, 4 upside down and
   *     mirrored, 5 to 8 lying on a side, as "row 0 of the file is the … side of the picture"
   */
  Pixels upright(int orientation) {
    if (orientation == 1) {
      return this;
    }
    boolean swap = orientation >= 5;
    Pixels out = allocate(channels, swap ? width : height, swap ? height : width);
    for (int y = 0, to = 0; y < out.height; y++) {
      for (int x = 0; x < out.width; x++) {
        int fromX = swap ? y : x;
        int fromY = swap ? x : y;
        if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) {
          fromX = width - 1 - fromX;
        }
        if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) {
          fromY = height - 1 - fromY;
        }
        int from = (fromY * width + fromX) * channels;
        for (int c = 0; c < channels; c++) {
          out.samples[to++] = samples[from + c];
        }
      }
    }
    return out;
  }

  /** A copy as an image of the JDK: TYPE_BYTE_GRAY or TYPE_3BYTE_BGR. */
  BufferedImage toImage() {
    int type = channels == 1 ? BufferedImage.TYPE_BYTE_GRAY : BufferedImage.TYPE_3BYTE_BGR;
    BufferedImage image = new BufferedImage(width, height, type);
    image.getRaster().setDataElements(0, 0, width, height, samples);
    return image;
  }
}
