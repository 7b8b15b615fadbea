package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

/**
 * What the verbs gave for a {@link Trial}; floats, if they come from a plan.
 *
 * @param outputs f(x; w0), [n, classes]
 * @param jvp J·delta, [n, classes]
 * @param vjp Jᵀ·cotangent, [parameters]
 */
public record Verbs(double[] outputs, double[] jvp, double[] vjp) {

  /** Compares in the Euclidean norm, verb by verb, as {@link Numbers#assertClose} does. */
  public void assertClose(Verbs actual, double bound) {
    Numbers.assertClose(outputs, actual.outputs, bound, "forward");
    Numbers.assertClose(jvp, actual.jvp, bound, "jvp");
    Numbers.assertClose(vjp, actual.vjp, bound, "vjp");
  }

  /** Compares values that float holds exactly; the sign of zero does not count. */
  public void assertExact(Verbs actual) {
    Numbers.assertExact(outputs, actual.outputs, "forward");
    Numbers.assertExact(jvp, actual.jvp, "jvp");
    Numbers.assertExact(vjp, actual.vjp, "vjp");
  }

  public void assertSameBits(Verbs actual) {
    assertArrayEquals(outputs, actual.outputs, "forward");
    assertArrayEquals(jvp, actual.jvp, "jvp");
    assertArrayEquals(vjp, actual.vjp, "vjp");
  }

  /** Largest magnitude of all. */
  public double largest() {
    double largest = 0;
    for (double[] values : new double[][] {outputs, jvp, vjp}) {
      for (double value : values) {
        largest = Math.max(largest, Math.abs(value));
      }
    }
    return largest;
  }
}
