package org.lqf.image;

import java.awt.image.BufferedImage;
import java.util.Arrays;
import java.util.Objects;

/**
 * From a picture of any size to the floats that a network takes: scaled with Pillow's antialiased
 * bilinear filter until it just covers height × width (for a square: short side to side), cut out
 * of the centre, and each sample b of channel c becomes (b/255 − mean[c]) / std[c].
 *
 * @param channels 1 (grey) or 3 (red, green, blue)
 * @param height of the result, in pixels
 * @param width of the result, in pixels
 * @param mean [channels], in units of the sample range [0, 1], copied
 * @param std [channels], &gt; 0, copied
 */
public record ImageTransform(int channels, int height, int width, float[] mean, float[] std) {

  public ImageTransform {
    mean = mean.clone();
    std = std.clone();
    if (channels != 1 && channels != 3) {
      throw new IllegalArgumentException(
          "images have 1 channel (grey) or 3 (red, green, blue), the network wants " + channels);
    }
    if (height < 1 || width < 1 || (long) channels * height * width > Integer.MAX_VALUE) {
      throw new IllegalArgumentException("%dx%d pixels are no image size".formatted(width, height));
    }
    if (mean.length != channels || std.length != channels) {
      throw new IllegalArgumentException(
          "expected one mean and one std for each of %d channels, got %d and %d"
              .formatted(channels, mean.length, std.length));
    }
    for (int c = 0; c < channels; c++) {
      if (!Float.isFinite(mean[c]) || !Float.isFinite(std[c]) || std[c] <= 0) {
        throw new IllegalArgumentException(
            "channel %d: mean %s, std %s; both must be finite and std positive"
                .formatted(c, mean[c], std[c]));
      }
    }
  }

  /** Floats of one image: channels · height · width. */
  public int floats() {
    return channels * height * width;
  }

  /**
   * Prepares one image.
   *
   * @return [channels, height, width]
   */
  public float[] apply(BufferedImage image) {
    float[] out = new float[floats()];
    applyInto(image, out, 0);
    return out;
  }

  /**
   * Prepares one image in place.
   *
   * @param image read as {@link ImageDecoder} describes: samples as stored, alpha dropped
   * @param out [channels, height, width] from {@code offset} on, overwritten
   * @throws IndexOutOfBoundsException if {@code out} is too short
   */
  public void applyInto(BufferedImage image, float[] out, int offset) {
    applyInto(Pixels.of(image), out, offset);
  }

  void applyInto(Pixels image, float[] out, int offset) {
    int unused = Objects.checkFromIndexSize(offset, floats(), out.length);
    byte[] samples = fit(image).samples();
    for (int c = 0, to = offset; c < channels; c++) {
      for (int at = c; at < samples.length; at += channels) {
        out[to++] = ((samples[at] & 0xff) / 255f - mean[c]) / std[c];
      }
    }
  }

  /** The 8-bit picture before normalisation: [height, width, channels]. */
  Pixels fit(Pixels image) {
    double ratio = Math.max((double) width / image.width(), (double) height / image.height());
    // rint rounds halves to even, as Python's round does.
    long fullWidth = Math.max(width, (long) Math.rint(image.width() * ratio));
    long fullHeight = Math.max(height, (long) Math.rint(image.height() * ratio));
    return Resampler.resize(
        image.withChannels(channels),
        fullWidth,
        fullHeight,
        (fullWidth - width) / 2,
        (fullHeight - height) / 2,
        width,
        height);
  }

  @Override
  public float[] mean() {
    return mean.clone();
  }

  @Override
  public float[] std() {
    return std.clone();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ImageTransform that
        && channels == that.channels
        && height == that.height
        && width == that.width
        && Arrays.equals(mean, that.mean)
        && Arrays.equals(std, that.std);
  }

  @Override
  public int hashCode() {
    return Objects.hash(channels, height, width, Arrays.hashCode(mean), Arrays.hashCode(std));
  }

  @Override
  public String toString() {
    return "%d channels of %dx%d, mean %s, std %s"
        .formatted(channels, width, height, Arrays.toString(mean), Arrays.toString(std));
  }
}
