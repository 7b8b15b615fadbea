package org.lqf.model;

import java.util.Arrays;

/**
 * The image a network takes: size and normalisation. Three channels are red, green, blue; one is
 * grey; any other number is no image but a value that the caller prepared. A byte b of channel c
 * enters as (b/255 − mean[c]) / std[c].
 *
 * @param channels ≥ 1
 * @param height pixels
 * @param width pixels
 * @param mean [channels], copied
 * @param std [channels], &gt; 0, copied
 */
public record InputSpec(int channels, int height, int width, float[] mean, float[] std) {

  public InputSpec {
    Shape unused = new Shape(channels, height, width); // checks the extents
    mean = mean.clone();
    std = std.clone();
    if (mean.length != channels || std.length != channels) {
      throw new IllegalArgumentException(
          "input %s: expected one mean and one std per channel, got %d and %d"
              .formatted(unused, mean.length, std.length));
    }
    for (int c = 0; c < channels; c++) {
      if (!Float.isFinite(mean[c]) || !Float.isFinite(std[c]) || std[c] <= 0) {
        throw new IllegalArgumentException(
            "input channel %d: mean %s, std %s; both must be finite and std positive"
                .formatted(c, mean[c], std[c]));
      }
    }
  }

  /** An input that is not normalised: mean 0, std 1. */
  public static InputSpec raw(int channels, int height, int width) {
    float[] ones = new float[channels];
    Arrays.fill(ones, 1f);
    return new InputSpec(channels, height, width, new float[channels], ones);
  }

  public Shape shape() {
    return new Shape(channels, height, width);
  }

  public InputSpec withSize(int newHeight, int newWidth) {
    return new InputSpec(channels, newHeight, newWidth, mean, std);
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
    return other instanceof InputSpec that
        && shape().equals(that.shape())
        && Arrays.equals(mean, that.mean)
        && Arrays.equals(std, that.std);
  }

  @Override
  public int hashCode() {
    return shape().hashCode() + 31 * (Arrays.hashCode(mean) + 31 * Arrays.hashCode(std));
  }

  @Override
  public String toString() {
    return "%s mean %s std %s".formatted(shape(), Arrays.toString(mean), Arrays.toString(std));
  }
}
