package org.lqf.model;

/**
 * Shape of one value of one image: [channels, height, width], row-major; vectors are [n, 1, 1].
 *
 * @param channels ≥ 1
 * @param height ≥ 1, pixels
 * @param width ≥ 1, pixels
 */
public record Shape(int channels, int height, int width) {

  public Shape {
    if (channels < 1 || height < 1 || width < 1) {
      throw new IllegalArgumentException(
          "shape [%d,%d,%d]: every extent must be at least 1".formatted(channels, height, width));
    }
    if ((long) channels * height > Integer.MAX_VALUE / width) {
      throw new IllegalArgumentException(
          "shape [%d,%d,%d] has more than 2^31-1 values per image"
              .formatted(channels, height, width));
    }
  }

  /** Number of values: channels · height · width. */
  public int size() {
    return channels * height * width;
  }

  @Override
  public String toString() {
    return "[" + channels + "," + height + "," + width + "]";
  }
}
