package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;

/** Arrays for tests: random and integer values, products, comparisons. */
public final class Numbers {

  private Numbers() {}

  /** Standard normal values. */
  public static float[] normal(int length, long seed) {
    Random random = new Random(seed);
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  /** Integers of [-largest, largest]. */
  public static float[] integers(int length, int largest, long seed) {
    Random random = new Random(seed);
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = random.nextInt(2 * largest + 1) - largest;
    }
    return values;
  }

  public static double[] widen(float[] values) {
    return DualOracle.widen(values);
  }

  public static double[] flat(double[][] rows) {
    return Arrays.stream(rows).flatMapToDouble(Arrays::stream).toArray();
  }

  public static double dot(float[] a, float[] b) {
    return dot(widen(a), widen(b));
  }

  public static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  public static double norm(double[] values) {
    return Math.sqrt(Arrays.stream(values).map(v -> v * v).sum());
  }

  /** ‖actual − expected‖ / ‖expected‖; infinite if the expected values are all zero. */
  public static double relativeError(double[] expected, double[] actual) {
    double[] difference = new double[expected.length];
    Arrays.setAll(difference, i -> actual[i] - expected[i]);
    return norm(difference) / norm(expected);
  }

  /**
   * Compares in the Euclidean norm. Mostly zeros prove nothing: they fail (what oneDNN calls
   * mistrusted).
   */
  public static void assertClose(double[] expected, double[] actual, double bound, String what) {
    assertTrue(actual.length == expected.length, () -> what + ": " + actual.length + " values");
    assertMostlyNotZero(expected, what);
    double error = relativeError(expected, actual);
    assertTrue(
        error <= bound, () -> "%s: relative error %.3g, bound %.3g".formatted(what, error, bound));
  }

  public static void assertClose(double[] expected, float[] actual, double bound, String what) {
    assertClose(expected, widen(actual), bound, what);
  }

  /** Compares values that float holds exactly; the sign of zero does not count. */
  public static void assertExact(double[] expected, double[] actual, String what) {
    assertMostlyNotZero(expected, what);
    assertArrayEquals(expected, actual, 0.0, what);
  }

  public static void assertExact(double[] expected, float[] actual, String what) {
    assertExact(expected, widen(actual), what);
  }

  private static void assertMostlyNotZero(double[] values, String what) {
    long zeros = Arrays.stream(values).filter(v -> v == 0).count();
    assertTrue(
        2 * zeros <= values.length,
        () -> "%s: %d of %d expected values are zero".formatted(what, zeros, values.length));
  }
}
