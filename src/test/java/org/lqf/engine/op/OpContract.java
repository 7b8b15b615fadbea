package org.lqf.engine.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;
import static org.lqf.engine.Numbers.dot;
import static org.lqf.engine.Numbers.norm;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Devices;
import org.lqf.engine.DualOracle;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.engine.Plan;
import org.lqf.engine.Trial;
import org.lqf.engine.Verbs;
import org.lqf.model.Node;
import org.lqf.model.Shape;

/** What every op has to fulfil on every back end and at every shape. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class OpContract {

  private static final double EPSILON = 0x1p-24; // half a unit in the last place of a float
  static final long SEED = 20;

  private final Map<String, Verbs> oracle = new HashMap<>();

  /** Awkward shapes. */
  abstract List<OpCase> shapes();

  /** A node "odd" that does not fit the image [3,4,4]. */
  abstract Node odd();

  Stream<Arguments> cases() {
    return Devices.all()
        .flatMap(device -> shapes().stream().map(shape -> Arguments.of(device, shape)));
  }

  /** Without means over numbers of values that are no power of two: they round. */
  Stream<Arguments> exactCases() {
    return cases().filter(arguments -> ((OpCase) arguments.get()[1]).isExact());
  }

  final Verbs oracle(String what, OpCase shape, Trial trial) {
    return oracle.computeIfAbsent(what + shape, unused -> trial.oracle());
  }

  /** Runs with room for more images than there are. */
  private static Verbs run(String device, Trial trial) {
    return trial.on(device, 2, trial.n() + 2, trial.n());
  }

  @ParameterizedTest
  @MethodSource("exactCases")
  void equalsTheOracleExactlyOnIntegers(String device, OpCase shape) {
    Trial trial = shape.integers(SEED);
    double largest = oracle("bound", shape, OpCase.magnitudes(trial)).largest();
    assertTrue(largest < 0x1p24 * shape.granule(), () -> "sums reach " + largest);
    oracle("exact", shape, trial).assertExact(run(device, trial));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void agreesWithTheOracleWithinRounding(String device, OpCase shape) {
    Trial trial = shape.normal(SEED);
    double bound = EPSILON * Math.sqrt(shape.reduction());
    oracle("normal", shape, trial).assertClose(run(device, trial), bound);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void jvpIsLinear(String device, OpCase shape) {
    Trial trial = shape.normal(SEED + 10);
    float[] other = shape.normal(SEED + 20).delta();
    float[] sum = other.clone();
    for (int i = 0; i < sum.length; i++) {
      sum[i] = 2 * trial.delta()[i] - 3 * other[i];
    }
    double[] expected = run(device, trial).jvp();
    double[] b = run(device, trial.withDelta(other)).jvp();
    Arrays.setAll(expected, i -> 2 * expected[i] - 3 * b[i]);
    double bound = 4 * EPSILON * Math.sqrt(shape.reduction());
    assertClose(expected, run(device, trial.withDelta(sum)).jvp(), bound, "J(2a-3b)");
  }

  @ParameterizedTest
  @MethodSource("cases")
  void vjpIsTheAdjointOfJvp(String device, OpCase shape) {
    Trial trial = shape.normal(SEED + 30);
    Verbs verbs = run(device, trial);
    double[] u = Numbers.widen(trial.cotangent());
    double left = dot(u, verbs.jvp());
    double right = dot(Numbers.widen(trial.delta()), verbs.vjp());
    double scale = norm(u) * norm(verbs.jvp());
    assertEquals(left, right, EPSILON * Math.sqrt(shape.reduction()) * scale);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void bitsDependNeitherOnThreadsNorOnTheBatch(String device, OpCase shape) {
    Trial trial = shape.normal(SEED + 40);
    Verbs alone = trial.on(device, 1, 1, 1, 1, 1);
    alone.assertSameBits(trial.on(device, 3, 5, 3));
    alone.assertSameBits(trial.on(device, 2, 2, 1, 2));
  }

  @ParameterizedTest
  @MethodSource("exactCases")
  void vjpAccumulatesAndJacobianGivesItsRows(String device, OpCase shape) {
    Trial trial = shape.integers(SEED + 50);
    int classes = trial.net().outputShape().size();
    int parameters = trial.delta().length;
    int n = (long) classes * parameters > 1 << 21 ? 1 : 2; // of images whose rows are looked at
    Trial part = trial.part(0, n);
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(trial.net(), 3);
        DeviceVector rows = engine.vector((long) n * classes * parameters).fill(Float.NaN);
        DeviceVector gradient = engine.vector(trial.delta());
        DeviceVector bar = engine.vector(part.cotangent())) {
      plan.forward(part.images(), n);
      plan.vjp(bar, gradient);
      plan.jacobian(rows);
      float[] j = rows.toArray();
      double[] expected = Numbers.widen(trial.delta());
      for (int r = 0; r < n * classes; r++) {
        for (int p = 0; p < parameters; p++) {
          expected[p] += part.cotangent()[r] * j[r * parameters + p];
        }
      }
      Numbers.assertExact(expected, gradient.toArray(), "delta + Jᵀu");
      double[] unit = new double[classes];
      unit[classes - 1] = 1;
      double[] first = new DualOracle(trial.net()).vjp(part.image(0), unit);
      float[] row = Arrays.copyOfRange(j, (classes - 1) * parameters, classes * parameters);
      assertArrayEquals(first, Numbers.widen(row), 0.0, "the last row of the first image");
    }
  }

  @Test
  void refusesWhatDoesNotFitAndNamesTheNode() {
    String message =
        assertThrows(
                IllegalArgumentException.class,
                () -> OpCase.graph("odd", new Shape(3, 4, 4), List.of(odd())))
            .getMessage();
    assertTrue(message.contains("\"odd\""), message);
  }
}
