package org.lqf.image;

import java.util.SplittableRandom;

/**
 * Random shift and mirroring of training images, the "crop and flip" of CIFAR recipes.
 *
 * <p>What happens to an image depends on (seed, epoch, index of the image) alone, not on the order
 * in which images are read, the batch they are in or the thread that reads them. What a shift
 * uncovers is the mirrored rim of the image rather than a constant: a pre-trained network has not
 * seen frames of a constant.
 *
 * @param shift largest shift, as a fraction of the side, in [0, 1)
 * @param flip whether half of the images are mirrored left to right
 * @param seed of all draws
 */
public record Augmentation(double shift, boolean flip, long seed) {

  public Augmentation {
    if (!(shift >= 0 && shift < 1)) {
      throw new IllegalArgumentException("shift must lie in [0, 1) of the side, got " + shift);
    }
  }

  /** Shifts by up to an eighth of the side (4 pixels of 32) and flips. */
  public static Augmentation cropAndFlip(long seed) {
    return new Augmentation(0.125, true, seed);
  }

  /**
   * Changes one prepared image.
   *
   * @param in [channels, height, width] from {@code inOffset} on, read
   * @param out [channels, height, width] from {@code outOffset} on, overwritten; must not overlap
   *     {@code in}
   * @param epoch any number, a new one for a new draw
   * @param index of the image in its data set
   */
  public void apply(
      float[] in,
      int inOffset,
      float[] out,
      int outOffset,
      int channels,
      int height,
      int width,
      int epoch,
      int index) {
    SplittableRandom random = new SplittableRandom(Seeds.mix(seed, epoch, index));
    int down = draw(random, (int) (shift * height));
    int right = draw(random, (int) (shift * width));
    boolean mirror = random.nextBoolean() && flip;
    int to = outOffset;
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < height; y++) {
        int row = inOffset + (c * height + reflect(y + down, height)) * width;
        for (int x = 0; x < width; x++) {
          out[to++] = in[row + reflect((mirror ? width - 1 - x : x) + right, width)];
        }
      }
    }
  }

  private static int draw(SplittableRandom random, int limit) {
    return random.nextInt(-limit, limit + 1);
  }

  /** Mirrors an index that is less than n outside 0..n−1 at the first or last sample. */
  private static int reflect(int i, int n) {
    int inside = Math.abs(i);
    return inside < n ? inside : 2 * (n - 1) - inside;
  }
}
