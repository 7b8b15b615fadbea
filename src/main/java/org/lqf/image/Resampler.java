package org.lqf.image;

import java.util.Arrays;

/**
 * Antialiased bilinear resize with the bits of Pillow's {@code Image.resize(size, BILINEAR)}
 * (libImaging/Resample.c): the triangle filter is widened by the reduction factor, weights are
 * fixed-point numbers, and the picture is rounded to 8 bits between the horizontal and the vertical
 * pass.
 */
final class Resampler {

  /** Fraction bits of a weight: 32 less 8 of the sample, less 2 for sign and overshoot. */
  private static final int PRECISION_BITS = 32 - 8 - 2;

  private static final int HALF = 1 << (PRECISION_BITS - 1);

  /**
   * Weights of the input samples along one axis. Output sample i is the sum over t of
   * weights[i·taps + t] · input[first[i] + t], for the t that lie inside the input.
   *
   * @param first [outputs]
   * @param count [outputs], ≤ taps
   * @param weights [outputs, taps]
   */
  private record Axis(int taps, int[] first, int[] count, int[] weights) {

    /**
     * @param in input samples
     * @param out output samples if all were made
     * @param start first output sample that is made
     * @param outputs how many are made
     */
    static Axis of(int in, long out, long start, int outputs) {
      double scale = (double) in / out;
      double support = Math.max(scale, 1);
      double inverse = 1 / support;
      int taps = (int) Math.ceil(support) * 2 + 1;
      Axis axis =
          new Axis(
              taps, new int[outputs], new int[outputs], new int[Math.multiplyExact(outputs, taps)]);
      double[] exact = new double[taps];
      for (int i = 0; i < outputs; i++) {
        double centre = (start + i + 0.5) * scale;
        int first = Math.max((int) (centre - support + 0.5), 0);
        int count = Math.min((int) (centre + support + 0.5), in) - first;
        double sum = 0;
        for (int t = 0; t < count; t++) {
          exact[t] = triangle((t + first - centre + 0.5) * inverse);
          sum += exact[t];
        }
        for (int t = 0; t < count; t++) {
          double weight = sum == 0 ? exact[t] : exact[t] / sum;
          axis.weights[i * taps + t] = (int) (0.5 + weight * (1 << PRECISION_BITS));
        }
        axis.first[i] = first;
        axis.count[i] = count;
      }
      return axis;
    }

    private static double triangle(double x) {
      return Math.max(1 - Math.abs(x), 0);
    }

    int end() {
      int last = first.length - 1;
      return first[last] + count[last];
    }
  }

  private Resampler() {}

  /**
   * Resizes to {@code fullWidth} × {@code fullHeight} and cuts out a window; only the samples of
   * the window are computed.
   *
   * @param left of the window, in the resized picture
   * @param top of the window, in the resized picture
   */
  static Pixels resize(
      Pixels in, long fullWidth, long fullHeight, long left, long top, int width, int height) {
    Axis across = Axis.of(in.width(), fullWidth, left, width);
    Axis down = Axis.of(in.height(), fullHeight, top, height);
    int firstRow = down.first[0];
    byte[] narrow = horizontal(in, across, firstRow, down.end());
    return new Pixels(
        in.channels(), height, width, vertical(narrow, firstRow, down, width * in.channels()));
  }

  /** Rows firstRow to endRow: [rows, in.width, channels] → [rows, outputs, channels]. */
  private static byte[] horizontal(Pixels in, Axis axis, int firstRow, int endRow) {
    int channels = in.channels();
    int outputs = axis.first.length;
    byte[] samples = in.samples();
    byte[] out = new byte[Math.multiplyExact(endRow - firstRow, outputs * channels)];
    for (int y = firstRow, to = 0; y < endRow; y++) {
      for (int i = 0; i < outputs; i++) {
        int from = (y * in.width() + axis.first[i]) * channels;
        for (int c = 0; c < channels; c++) {
          int sum = HALF;
          for (int t = 0, at = from + c; t < axis.count[i]; t++, at += channels) {
            sum += (samples[at] & 0xff) * axis.weights[i * axis.taps + t];
          }
          out[to++] = clip(sum);
        }
      }
    }
    return out;
  }

  /**
   * Columns: [rows, rowBytes] → [outputs, rowBytes]; row 0 of {@code in} is picture row firstRow.
   */
  private static byte[] vertical(byte[] in, int firstRow, Axis axis, int rowBytes) {
    int outputs = axis.first.length;
    byte[] out = new byte[Math.multiplyExact(outputs, rowBytes)];
    int[] sums = new int[rowBytes];
    for (int i = 0; i < outputs; i++) {
      Arrays.fill(sums, HALF);
      for (int t = 0; t < axis.count[i]; t++) {
        int weight = axis.weights[i * axis.taps + t];
        int from = (axis.first[i] - firstRow + t) * rowBytes;
        for (int x = 0; x < rowBytes; x++) {
          sums[x] += (in[from + x] & 0xff) * weight;
        }
      }
      for (int x = 0; x < rowBytes; x++) {
        out[i * rowBytes + x] = clip(sums[x]);
      }
    }
    return out;
  }

  private static byte clip(int fixed) {
    return (byte) Math.min(Math.max(fixed >> PRECISION_BITS, 0), 255);
  }
}
