package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Gram matrices, their Cholesky factors, inverses and eigenvectors on both back ends. */
class SymmetricMatrixTest {

  private static final long SEED = 60;

  /** Sides around the tiles of 128 and 192. */
  static Stream<Arguments> sides() {
    return Devices.all()
        .flatMap(
            device ->
                IntStream.of(1, 2, 13, 64, 130, device.equals("cpu") ? 301 : 7)
                    .mapToObj(side -> Arguments.of(device, side)));
  }

  /** B·Bᵀ/side + I/2, B normal: well conditioned. */
  private static double[] positive(int side) {
    float[] b = Numbers.normal(side * side, SEED + side);
    double[] m = new double[side * side];
    for (int i = 0; i < side; i++) {
      for (int j = 0; j < side; j++) {
        double sum = i == j ? side / 2.0 : 0;
        for (int k = 0; k < side; k++) {
          sum += (double) b[i * side + k] * b[j * side + k];
        }
        m[i * side + j] = sum / side;
      }
    }
    return m;
  }

  /** a [rows, inner] · b [inner, columns]. */
  private static double[] times(double[] a, double[] b, int inner) {
    int rows = a.length / inner;
    int columns = b.length / inner;
    double[] c = new double[rows * columns];
    for (int i = 0; i < rows; i++) {
      for (int k = 0; k < inner; k++) {
        for (int j = 0; j < columns; j++) {
          c[i * columns + j] += a[i * inner + k] * b[k * columns + j];
        }
      }
    }
    return c;
  }

  private static double[] identity(int side) {
    double[] identity = new double[side * side];
    for (int i = 0; i < side; i++) {
      identity[i * side + i] = 1;
    }
    return identity;
  }

  private static SymmetricMatrix matrix(Engine engine, double[] values) {
    int side = (int) Math.sqrt(values.length);
    return engine.matrix(side).write(0, 0, side, side, values);
  }

  private static double[] doubled(double[] values) {
    return Arrays.stream(values).map(value -> 2 * value).toArray();
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void gramIsTheProductsOfTheRows(String device) {
    for (int length : new int[] {1, 100, 5000}) { // 5000: more than a chunk
      int rows = 7;
      float[] a = Numbers.normal(rows * length, SEED);
      float[] b = Numbers.normal(5 * length, SEED + 1);
      try (Engine engine = Engine.open(device, 2);
          DeviceVector va = engine.vector(a);
          DeviceVector vb = engine.vector(b);
          SymmetricMatrix matrix = engine.matrix(13)) {
        matrix.gram(1, va, rows, 1, va, rows, length).gram(1, va, rows, 8, vb, 5, length);
        double[] once = matrix.toArray();
        matrix.addGram(1, va, rows, 1, va, rows, length).addGram(1, va, rows, 8, vb, 5, length);
        assertArrayEquals(doubled(once), matrix.toArray(), 1e-9, "added");
        matrix.gram(1, va, rows, 1, va, rows, length).gram(1, va, rows, 8, vb, 5, length);
        double[] expected = new double[13 * 13];
        for (int i = 0; i < rows; i++) {
          float[] row = Arrays.copyOfRange(a, i * length, (i + 1) * length);
          for (int j = 0; j < rows + 5; j++) {
            float[] from = j < rows ? a : b;
            int start = (j < rows ? j : j - rows) * length;
            double dot = Numbers.dot(row, Arrays.copyOfRange(from, start, start + length));
            expected[(1 + i) * 13 + 1 + j] = dot;
            expected[(1 + j) * 13 + 1 + i] = dot;
          }
        }
        double[] actual = matrix.toArray();
        double scale = 0;
        for (int i = 1; i <= rows; i++) {
          scale = Math.max(scale, expected[14 * i]);
        }
        for (int i = 0; i < expected.length; i++) {
          assertEquals(expected[i], actual[i], 0x1p-24 * Math.sqrt(length) * scale, "entry " + i);
          assertEquals(actual[i], actual[i % 13 * 13 + i / 13], "symmetric");
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void gramIsExactOnIntegersBeyondATile(String device) {
    int rows = 340;
    int length = 33;
    float[] a = Numbers.integers(rows * length, 9, SEED);
    double[] transposed = new double[rows * length];
    for (int i = 0; i < transposed.length; i++) {
      transposed[i] = a[i % rows * length + i / rows];
    }
    double[] expected = times(Numbers.widen(a), transposed, length);
    try (Engine engine = Engine.open(device, 2);
        DeviceVector va = engine.vector(a);
        SymmetricMatrix matrix = engine.matrix(rows)) {
      matrix.gram(0, va, rows, 0, va, rows, length);
      assertArrayEquals(expected, matrix.toArray(), 0.0);
      assertArrayEquals(
          Arrays.copyOfRange(expected, 3 * rows + 5, 3 * rows + 7), matrix.read(3, 5, 1, 2), 0.0);
    }
  }

  @ParameterizedTest
  @MethodSource("sides")
  void choleskySolvesAndInverts(String device, int side) {
    double[] m = positive(side);
    double[] x = Numbers.widen(Numbers.normal(side * 3, SEED));
    double[] shifted = m.clone();
    for (int i = 0; i < side; i++) {
      shifted[i * side + i] += 0.25;
    }
    try (Engine engine = Engine.open(device, 2);
        SymmetricMatrix matrix = matrix(engine, m)) {
      double[] solution = times(shifted, x, side);
      matrix.cholesky(0.25).solve(solution, 3);
      assertArrayEquals(x, solution, 1e-11);
      double[] l = matrix.toArray();
      double[] lower = new double[side * side];
      double[] upper = new double[side * side];
      for (int i = 0; i < side; i++) {
        for (int j = 0; j <= i; j++) {
          lower[i * side + j] = l[i * side + j];
          upper[j * side + i] = l[i * side + j];
        }
      }
      assertArrayEquals(shifted, times(lower, upper, side), 1e-12, "L·Lᵀ");
      double[] inverse = matrix.invert().toArray();
      assertArrayEquals(identity(side), times(shifted, inverse, side), 1e-11);
      for (int i = 0; i < inverse.length; i++) {
        assertEquals(inverse[i], inverse[i % side * side + i / side], "symmetric");
      }
      double[] back = matrix.cholesky(0).invert().toArray(); // an inverse is a matrix again
      assertArrayEquals(shifted, back, 1e-9);
    }
  }

  @ParameterizedTest
  @MethodSource("sides")
  void eigenvectorsAreOrthonormalRowsThatDiagonalise(String device, int side) {
    double[] m = positive(side);
    try (Engine engine = Engine.open(device, 2);
        SymmetricMatrix matrix = matrix(engine, m)) {
      double[] values = matrix.eigen();
      double[] rows = matrix.toArray();
      double[] columns = new double[side * side];
      double[] scaled = new double[side * side];
      for (int i = 0; i < side; i++) {
        assertTrue(i == 0 || values[i - 1] <= values[i], "ascending");
        for (int j = 0; j < side; j++) {
          columns[j * side + i] = rows[i * side + j];
          scaled[i * side + j] = values[i] * rows[i * side + j];
        }
      }
      assertArrayEquals(identity(side), times(rows, columns, side), 1e-12);
      assertArrayEquals(m, times(columns, scaled, side), 1e-11);
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void bitsDoNotDependOnThreads(String device) {
    int side = 150;
    float[] a = Numbers.normal(side * 200, SEED);
    double[][] results = new double[3][];
    for (int threads = 1; threads <= 3; threads++) {
      try (Engine engine = Engine.open(device, threads);
          DeviceVector va = engine.vector(a);
          SymmetricMatrix matrix = engine.matrix(side)) {
        matrix.gram(0, va, side, 0, va, side, 200).cholesky(1);
        double[] x = Numbers.widen(Numbers.normal(side * 70, SEED + 1));
        matrix.solve(x, 70);
        double[] inverse = matrix.invert().toArray();
        double[] all = Arrays.copyOf(x, x.length + inverse.length);
        System.arraycopy(inverse, 0, all, x.length, inverse.length);
        results[threads - 1] = all;
      }
    }
    assertArrayEquals(results[0], results[1]);
    assertArrayEquals(results[0], results[2]);
  }

  @ParameterizedTest
  @MethodSource("sides")
  void aFailedFactorisationNamesThePivotAndCannotBeUsed(String device, int side) {
    int pivot = 2 * side / 3; // counted from 0
    for (double bad : new double[] {-3, Double.NaN, Double.NEGATIVE_INFINITY}) {
      double[] m = identity(side);
      m[pivot * side + pivot] = bad;
      try (Engine engine = Engine.open(device, 2);
          SymmetricMatrix matrix = matrix(engine, m)) {
        LqfException e = assertThrows(LqfException.class, () -> matrix.cholesky(0.5));
        assertEquals(LqfException.Status.NUMERIC, e.status());
        String said = "side %d is not positive definite at pivot %d with 0.5 ";
        assertTrue(e.getMessage().contains(said.formatted(side, pivot + 1)), e.getMessage());
        assertRefused("failed", () -> matrix.solve(new double[side], 1));
        assertRefused("failed", matrix::invert);
        assertRefused("failed", () -> matrix.cholesky(10));
        matrix.write(0, 0, side, side, identity(side)).cholesky(0); // starts anew
      }
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void whatIsNotFiniteHasNoEigenvectors(String device) {
    double[] m = positive(7);
    m[7 * 3 + 2] = m[7 * 2 + 3] = Double.NaN;
    try (Engine engine = Engine.open(device, 1);
        SymmetricMatrix matrix = matrix(engine, m)) {
      LqfException e = assertThrows(LqfException.class, matrix::eigen);
      assertEquals(LqfException.Status.NUMERIC, e.status());
      assertTrue(e.getMessage().contains("side 7"), e.getMessage());
      assertRefused("failed", () -> matrix.cholesky(0));
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void aStepThatDoesNotFollowIsRefused(String device) {
    try (Engine engine = Engine.open(device, 1);
        DeviceVector a = engine.vector(12);
        SymmetricMatrix matrix = matrix(engine, identity(4))) {
      assertRefused("needs a Cholesky factor", () -> matrix.solve(new double[4], 1));
      assertRefused("needs a Cholesky factor", matrix::invert);
      assertRefused("shift is nan", () -> matrix.cholesky(Double.NaN));
      matrix.cholesky(0);
      assertRefused("holds a Cholesky factor", () -> matrix.cholesky(0));
      assertRefused("holds a Cholesky factor", matrix::eigen);
      assertRefused("holds a Cholesky factor", () -> matrix.gram(0, a, 4, 0, a, 4, 3));
      assertRefused("[4,2] needs 8 values, got 4", () -> matrix.solve(new double[4], 2));
      assertRefused("[4,0]", () -> matrix.solve(new double[0], 0));
      matrix.invert().eigen();
      assertRefused("holds eigenvectors", () -> matrix.cholesky(0));
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void blocksOutsideAreRefused(String device) {
    try (Engine engine = Engine.open(device, 1);
        Engine other = Engine.open(device, 1);
        DeviceVector a = engine.vector(12);
        DeviceVector foreign = other.vector(12);
        SymmetricMatrix matrix = engine.matrix(4)) {
      assertRefused("(3,0)", () -> matrix.read(3, 0, 2, 1));
      assertRefused("(0,-1)", () -> matrix.read(0, -1, 1, 1));
      assertRefused("side 4", () -> matrix.write(0, 0, 5, 1, new double[5]));
      assertRefused("[2,2] needs 4 values, got 3", () -> matrix.write(0, 0, 2, 2, new double[3]));
      assertRefused("side 4", () -> matrix.gram(2, a, 3, 0, a, 2, 2));
      assertRefused("overlap", () -> matrix.gram(0, a, 2, 1, a, 2, 2));
      assertRefused("a has 12 entries", () -> matrix.gram(0, a, 4, 0, a, 4, 4));
      assertRefused("another engine", () -> matrix.gram(0, foreign, 1, 0, foreign, 1, 3));
      assertRefused("side is 0", () -> engine.matrix(0));
      assertEquals("SymmetricMatrix[4]", matrix.toString());
      assertEquals(4, matrix.side());
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void blocksAreReadIntoMemoryOutsideTheHeap(String device) {
    try (Engine engine = Engine.open(device, 1);
        SymmetricMatrix matrix = matrix(engine, new double[16])) {
      DoubleBuffer memory =
          ByteBuffer.allocateDirect(7 * 8).order(ByteOrder.nativeOrder()).asDoubleBuffer();
      matrix.write(1, 2, 2, 2, new double[] {1, 2, 3, 4});
      matrix.read(0, 2, 3, 2, memory.position(1));
      assertEquals(1, memory.position());
      double[] values = new double[7];
      memory.clear().get(values);
      assertArrayEquals(new double[] {0, 0, 0, 1, 2, 3, 4}, values);
      assertRefused("needs a direct", () -> matrix.read(0, 0, 2, 2, DoubleBuffer.allocate(4)));
      assertRefused("of 4 values", () -> matrix.read(0, 0, 2, 2, memory.clear()));
    }
  }

  private static void assertRefused(String said, Executable call) {
    String message = assertThrows(IllegalArgumentException.class, call).getMessage();
    assertTrue(message.contains(said), message);
  }
}
