package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Vector algebra on both back ends. */
class DeviceVectorTest {

  private static final int LONG = 100_003; // several chunks and a rest
  private static final long SEED = 50;

  @ParameterizedTest
  @CsvSource({
    "cpu, 1",
    "cpu, 3",
    "cpu, 7",
    "cpu, 13",
    "cpu, 17",
    "cpu, 64",
    "cpu, 100003",
    "reference, 1",
    "reference, 17",
    "reference, 100003"
  })
  void algebraIsThatOfTheArrays(String device, int length) {
    float[] a = Numbers.normal(length, SEED);
    float[] b = Numbers.normal(length, SEED + 1);
    try (Engine engine = Engine.open(device, 2);
        DeviceVector x = engine.vector(a);
        DeviceVector y = engine.vector(b);
        DeviceVector z = engine.vector(length)) {
      assertArrayEquals(new float[length], z.toArray(), "zeros at first");
      assertSame(z, z.set(x).add(-0.75, y));
      float[] sum = z.toArray();
      for (int i = 0; i < length; i++) {
        double exact = a[i] - 0.75 * b[i];
        double rounding = 0x1p-23 * (Math.abs(exact) + Math.abs(0.75 * b[i]));
        assertEquals(exact, sum[i], rounding);
      }
      float[] scaled = a.clone();
      for (int i = 0; i < length; i++) {
        scaled[i] *= 3.3f;
      }
      assertArrayEquals(scaled, z.set(x).scale(3.3).toArray());
      float[] filled = new float[length];
      Arrays.fill(filled, 0.1f);
      assertArrayEquals(filled, z.fill(0.1).toArray(), "doubles are rounded to float");
      assertArrayEquals(a, x.set(x).toArray());
      float[] doubled = x.add(1, x).toArray();
      for (int i = 0; i < length; i++) {
        assertEquals(2 * a[i], doubled[i]);
      }
      double magnitudes = 0;
      for (int i = 0; i < length; i++) {
        magnitudes += Math.abs(2.0 * a[i] * b[i]);
      }
      assertEquals(Numbers.dot(doubled, b), x.dot(y), 1e-13 * magnitudes);
      assertEquals(Numbers.norm(Numbers.widen(b)), y.norm(), 1e-13 * y.norm());
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void dotsAreSummedInDouble(String device) {
    try (Engine engine = Engine.open(device, 2);
        DeviceVector x = engine.vector(new float[] {1e8f, 1, -1e8f, 3e-3f});
        DeviceVector ones = engine.vector(4).fill(1)) {
      assertEquals(1 + (double) 3e-3f, x.dot(ones), 1e-7);
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void dotsAreTheSameBitsForAnyNumberOfThreads(String device) {
    float[] a = Numbers.normal(LONG, SEED + 2);
    float[] b = Numbers.normal(LONG, SEED + 3);
    double[] dots = new double[3];
    for (int threads = 1; threads <= 3; threads++) {
      try (Engine engine = Engine.open(device, threads);
          DeviceVector x = engine.vector(a);
          DeviceVector y = engine.vector(b)) {
        dots[threads - 1] = x.dot(y);
      }
    }
    assertEquals(dots[0], dots[1]);
    assertEquals(dots[0], dots[2]);
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void partsAreWrittenAndRead(String device) {
    try (Engine engine = Engine.open(device, 1);
        DeviceVector x = engine.vector(6)) {
      assertSame(x, x.write(2, new float[] {1, 2, 3}).write(new float[] {9}));
      assertArrayEquals(new float[] {9, 0, 1, 2, 3, 0}, x.toArray());
      float[] part = new float[2];
      x.read(3, part);
      assertArrayEquals(new float[] {2, 3}, part);
      x.read(part);
      assertArrayEquals(new float[] {9, 0}, part);
      x.write(6, new float[0]);
      assertRefused("[5, 7)", () -> x.write(5, new float[2]));
      assertRefused("[-1, 1)", () -> x.write(-1, new float[2]));
      assertRefused("vector of 6", () -> x.read(0, new float[7]));
      assertArrayEquals(new float[] {9, 0, 1, 2, 3, 0}, x.toArray());
      assertEquals("DeviceVector[6]", x.toString());
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void anEmptyVectorIsAVector(String device) {
    try (Engine engine = Engine.open(device, 2);
        DeviceVector x = engine.vector(0)) {
      assertEquals(0, x.fill(1).scale(2).add(1, x).dot(x));
      assertEquals(0, x.toArray().length);
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void operandsMustHaveOneLengthAndOneEngine(String device) {
    try (Engine engine = Engine.open(device, 1);
        Engine other = Engine.open(device, 1);
        DeviceVector x = engine.vector(3);
        DeviceVector longer = engine.vector(4);
        DeviceVector foreign = other.vector(3)) {
      assertRefused("3 and 4", () -> x.set(longer));
      assertRefused("3 and 4", () -> x.add(1, longer));
      assertRefused("3 and 4", () -> x.dot(longer));
      assertRefused("another engine", () -> x.set(foreign));
      assertRefused("another engine", () -> x.add(1, foreign));
      assertRefused("another engine", () -> x.dot(foreign));
      assertRefused("length is -1", () -> engine.vector(-1));
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void whatDoesNotFitIntoMemoryIsRefused(String device) {
    try (Engine engine = Engine.open(device, 1)) {
      long before = engine.memoryBytes();
      LqfException e = assertThrows(LqfException.class, () -> engine.vector(1L << 45).close());
      assertEquals(LqfException.Status.OUT_OF_MEMORY, e.status());
      assertTrue(e.getMessage().contains("a vector: 140737488.4 MB"), e.getMessage());
      assertEquals(before, engine.memoryBytes());
    }
  }

  private static void assertRefused(String said, Executable call) {
    String message = assertThrows(IllegalArgumentException.class, call).getMessage();
    assertTrue(message.contains(said), message);
  }
}
