package org.lqf.curvature;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;
import static org.lqf.engine.Numbers.flat;
import static org.lqf.engine.Numbers.integers;
import static org.lqf.engine.Numbers.norm;
import static org.lqf.engine.Numbers.relativeError;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Devices;
import org.lqf.engine.DualOracle;
import org.lqf.engine.Engine;
import org.lqf.engine.Goldens;
import org.lqf.engine.Plan;
import org.lqf.engine.Trial;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Safetensors;

/** Factors against {@link DualOracle}, and what damping has to solve, on both back ends. */
class KroneckerFactorsTest {

  private static final double BOUND = 2e-6;
  private static final double DAMPING = 4;
  private static final int N = 5;
  private static final long SEED = 70;

  private final Safetensors golden = Goldens.read("kinds-golden");
  private final Backbone net = Goldens.kinds().withW0(golden.get("w0").floats());
  private final Trial trial =
      new Trial(
          net,
          N,
          golden.get("images").floats(),
          golden.get("v").floats(),
          golden.get("u").floats());

  static Stream<Arguments> cases() {
    return Devices.all()
        .flatMap(device -> Stream.of(Sharing.values()).map(s -> Arguments.of(device, s)));
  }

  /** A and Γ of every layer, one after the other. */
  private static double[][] read(KroneckerFactors factors) {
    List<double[]> all = new ArrayList<>();
    for (int layer = 0; layer < factors.layers().size(); layer++) {
      all.add(factors.input(layer));
      all.add(factors.output(layer));
    }
    return all.toArray(double[][]::new);
  }

  private static List<double[]> images(Trial trial) {
    return IntStream.range(0, trial.n()).mapToObj(trial::image).toList();
  }

  /** What a fresh plan gives: factors, then a step of each damping for the gradient Jᵀu. */
  private record Run(double[][] factors, float[] factored, float[] exact) {
    static Run of(
        String device, int threads, Sharing sharing, Trial trial, int probes, int... batches) {
      int most = Arrays.stream(batches).max().orElseThrow();
      try (Engine engine = Engine.open(device, threads);
          Plan plan = engine.compile(trial.net(), most);
          DeviceVector gradient = engine.vector(trial.delta());
          KroneckerFactors factors = KroneckerFactors.create(plan, sharing)) {
        int from = 0;
        for (int count : batches) {
          plan.forward(trial.part(from, count).images(), count);
          factors.accumulate(plan, probes, SEED);
          from += count;
          assertEquals(from, factors.samples());
        }
        return of(engine, factors, gradient);
      }
    }

    static Run of(Engine engine, KroneckerFactors factors, DeviceVector gradient) {
      try (DeviceVector step = engine.vector(gradient.length())) {
        factors.invert(Damping.factored(DAMPING)).precondition(gradient, step);
        float[] factored = step.toArray();
        factors.invert(Damping.exact(DAMPING)).precondition(gradient, step);
        return new Run(read(factors), factored, step.toArray());
      }
    }

    void assertSameBits(Run other) {
      for (int i = 0; i < factors.length; i++) {
        assertArrayEquals(factors[i], other.factors[i], "factor " + i);
      }
      assertArrayEquals(factored, other.factored);
      assertArrayEquals(exact, other.exact);
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void factorsAreTheOracles(String device, Sharing sharing) {
    DualOracle oracle = new DualOracle(net);
    List<double[]> images = images(trial);
    boolean reduce = sharing == Sharing.REDUCE;
    double[][] actual = Run.of(device, 2, sharing, trial, 0, N).factors;
    int at = 0;
    for (ParameterBlock block : net.blocks()) {
      String node = block.node();
      assertClose(flat(oracle.inputFactor(images, node, reduce)), actual[at++], BOUND, node + " A");
      double[] gamma = flat(oracle.outputFactor(images, node, reduce));
      if (node.equals("fc")) { // mostly zeros, but exactly so
        assertArrayEquals(gamma, actual[at++], 1e-15);
      } else {
        assertClose(gamma, actual[at++], BOUND, node + " Γ");
      }
    }
    assertEquals(actual.length, at);
  }

  /** Positions and images are powers of two: all means are exact. */
  private static Trial exact() {
    List<Node> nodes =
        List.of(
            new Node("conv1", new Layer.Conv2d(3, 17, 3, 3, 1, 1), "input"), // [17,8,4]
            new Node("act1", new Layer.LeakyRelu(0.25f), "conv1"),
            new Node("conv2", new Layer.Conv2d(17, 7, 3, 1, 2, 1), "act1"), // [7,4,3]
            new Node("conv3", new Layer.Conv2d(7, 13, 1, 2, 1, 0), "conv2"), // [13,4,2]
            new Node("act3", new Layer.LeakyRelu(0.25f), "conv3"),
            new Node("fc1", new Layer.Linear(104, 3), "act3"), // the whole map
            new Node("fc2", new Layer.Linear(3, 4), "fc1"));
    List<ParameterBlock> layout = ParameterBlock.layout(nodes);
    float[] w0 = integers(layout.get(layout.size() - 1).end(), 1, SEED);
    Backbone net =
        new Backbone("exact", InputSpec.raw(3, 8, 4), nodes, "fc2", Node.INPUT, List.of(), w0);
    Trial trial = Trial.normal(net, 4, SEED);
    return new Trial(net, 4, integers(4 * 96, 1, SEED + 1), trial.delta(), trial.cotangent());
  }

  @ParameterizedTest
  @MethodSource("cases")
  void factorsAreExactOnIntegers(String device, Sharing sharing) {
    Trial trial = exact();
    DualOracle oracle = new DualOracle(trial.net());
    double[][] actual = Run.of(device, 2, sharing, trial, 0, 4).factors;
    int at = 0;
    for (ParameterBlock block : trial.net().blocks()) {
      boolean rounds = block.node().equals("conv2") && sharing == Sharing.REDUCE; // 12 positions
      boolean reduce = sharing == Sharing.REDUCE;
      double[] a = flat(oracle.inputFactor(images(trial), block.node(), reduce));
      double[] gamma = flat(oracle.outputFactor(images(trial), block.node(), reduce));
      double largest = Arrays.stream(a).map(Math::abs).max().orElseThrow();
      assertTrue(largest > 0.5 && largest < 0x1p18, "A is " + largest);
      assertArrayEquals(a, actual[at++], rounds ? 1e-6 * largest : 0, block.node() + " A");
      largest = Arrays.stream(gamma).map(Math::abs).max().orElseThrow();
      assertTrue(largest > 0.5 && largest < 0x1p18, "Γ is " + largest);
      rounds = block.node().equals("conv2") && sharing == Sharing.EXPAND;
      assertArrayEquals(gamma, actual[at++], rounds ? 1e-6 * largest : 0, block.node() + " Γ");
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void theLastLayerIsTheIdentityTimesA(String device, Sharing sharing) {
    double[][] factors = Run.of(device, 2, sharing, trial, 0, N).factors;
    double[] gamma = factors[factors.length - 1];
    int classes = net.outputShape().size();
    for (int i = 0; i < gamma.length; i++) {
      assertEquals(i / classes == i % classes ? 1 : 0, gamma[i]);
    }
    // so its Gauss-Newton block is that of one class, C times
    double[] a = factors[factors.length - 2];
    ParameterBlock block = net.blocks().get(net.blocks().size() - 1);
    int side = block.in() + 1;
    double[] gaussNewton = new double[side * side];
    for (double[] image : images(trial)) {
      double[] row = new DualOracle(net).vjp(image, new double[] {0, 1, 0, 0});
      for (int i = 0; i < side * side; i++) {
        gaussNewton[i] += entry(block, row, 1, i / side) * entry(block, row, 1, i % side) / N;
      }
    }
    assertClose(gaussNewton, a, BOUND, "block");
  }

  /** Entry [o, i] of the block [W b] in a vector of all parameters. */
  private static double entry(ParameterBlock block, double[] vector, int o, int i) {
    return i < block.in()
        ? vector[block.weightOffset() + o * block.in() + i]
        : vector[block.biasOffset() + o];
  }

  @ParameterizedTest
  @MethodSource("cases")
  void stepsSolveTheDampedSystem(String device, Sharing sharing) {
    Run run = Run.of(device, 2, sharing, trial, 0, N);
    for (int layer = 0; layer < net.blocks().size(); layer++) {
      ParameterBlock block = net.blocks().get(layer);
      double[] a = run.factors[2 * layer];
      double[] gamma = run.factors[2 * layer + 1];
      double[] gradient = matrix(block, trial.delta());
      // exact: Γ V A + γ V = ∇W
      double[] v = matrix(block, run.exact);
      double[] back = times(times(gamma, v, block.out()), a, block.in() + 1);
      Arrays.setAll(back, i -> back[i] + DAMPING * v[i]);
      assertSolves(gradient, back, (norm(gamma) * norm(a) + DAMPING) * norm(v));
      // factored: (Γ + √γ/π I) V (A + π√γ I) = ∇W, π² = (tr A / d_A) / (tr Γ / d_Γ)
      double pi = Math.sqrt(meanDiagonal(a) / meanDiagonal(gamma));
      double[] left = plusIdentity(gamma, Math.sqrt(DAMPING) / pi);
      double[] right = plusIdentity(a, pi * Math.sqrt(DAMPING));
      double[] step = matrix(block, run.factored);
      double[] product = times(times(left, step, block.out()), right, block.in() + 1);
      assertSolves(gradient, product, norm(left) * norm(right) * norm(step));
    }
  }

  /** Up to rounding in float, relative to the terms that cancel; they must not be enormous. */
  private static void assertSolves(double[] right, double[] product, double scale) {
    double error = relativeError(right, product) * norm(right);
    assertTrue(error < 1e-6 * scale, () -> "error %g of %g".formatted(error, scale));
    assertTrue(1e-6 * scale < 1e-2 * norm(right), () -> "too hard a problem: " + scale);
  }

  /** The block [W b], [out, in + 1]. */
  private static double[] matrix(ParameterBlock block, float[] vector) {
    double[] matrix = new double[block.size()];
    int side = block.in() + 1;
    double[] wide = DualOracle.widen(vector);
    Arrays.setAll(matrix, k -> entry(block, wide, k / side, k % side));
    return matrix;
  }

  private static double[] times(double[] a, double[] b, int inner) {
    int columns = b.length / inner;
    double[] c = new double[a.length / inner * columns];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < columns; j++) {
        c[i / inner * columns + j] += a[i] * b[i % inner * columns + j];
      }
    }
    return c;
  }

  private static double meanDiagonal(double[] matrix) {
    int side = (int) Math.sqrt(matrix.length);
    return IntStream.range(0, side).mapToDouble(i -> matrix[i * (side + 1)]).sum() / side;
  }

  private static double[] plusIdentity(double[] matrix, double shift) {
    int side = (int) Math.sqrt(matrix.length);
    double[] sum = matrix.clone();
    for (int i = 0; i < side; i++) {
      sum[i * (side + 1)] += shift;
    }
    return sum;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void probesConvergeToTheExactOutputFactor(String device, Sharing sharing) {
    double[][] exact = Run.of(device, 2, sharing, trial, 0, N).factors;
    double[][] few = Run.of(device, 2, sharing, trial, 8, N).factors;
    double[][] many = Run.of(device, 2, sharing, trial, 256, N).factors;
    for (int i = 0; i < exact.length; i += 2) {
      assertArrayEquals(exact[i], many[i], "A has no probes");
      double coarse = relativeError(exact[i + 1], few[i + 1]);
      double fine = relativeError(exact[i + 1], many[i + 1]);
      assertTrue(coarse > 0.01 && coarse < 1, "8 probes: " + coarse);
      assertTrue(fine < 0.1 && fine < coarse / 3, "256 probes: " + fine + " after " + coarse);
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void probesDependOnTheSeed(String device) {
    try (Engine engine = Engine.open(device, 1);
        Plan plan = engine.compile(net, N);
        KroneckerFactors one = KroneckerFactors.create(plan, Sharing.EXPAND);
        KroneckerFactors same = KroneckerFactors.create(plan, Sharing.EXPAND);
        KroneckerFactors other = KroneckerFactors.create(plan, Sharing.EXPAND)) {
      plan.forward(trial.images(), N);
      one.accumulate(plan, 1, 3);
      assertArrayEquals(one.output(0), same.accumulate(plan, 1, 3).output(0));
      assertFalse(Arrays.equals(one.output(0), other.accumulate(plan, 1, 4).output(0)));
      // the next five images draw others: were they the same, the mean would not change
      assertFalse(Arrays.equals(same.output(0), one.accumulate(plan, 1, 3).output(0)));
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void bitsDependNeitherOnThreadsNorOnTheBatches(String device, Sharing sharing) {
    for (int probes : new int[] {0, 2}) {
      Run once = Run.of(device, 1, sharing, trial, probes, N);
      once.assertSameBits(Run.of(device, 3, sharing, trial, probes, N));
      once.assertSameBits(Run.of(device, 2, sharing, trial, probes, 1, 3, 1));
    }
    Trial many = Trial.normal(net, 67, SEED); // a plan works on some at a time
    Run.of(device, 2, sharing, many, 0, 67)
        .assertSameBits(Run.of(device, 1, sharing, many, 0, 20, 47));
  }

  /** A plan hands inputs over in parts, so that their patches need not stand in memory together. */
  @ParameterizedTest
  @MethodSource("cases")
  void bitsDependNotOnHowManyInputsAreHandedOver(String device, Sharing sharing) {
    List<Node> nodes =
        List.of( // 216 entries a patch: 1213 images at a time
            new Node("conv", new Layer.Conv2d(24, 2, 3, 3, 1, 1), "input"),
            new Node("pool", new Layer.GlobalAvgPool(), "conv"));
    float[] w0 = integers(ParameterBlock.layout(nodes).get(0).end(), 1, SEED);
    Backbone wide =
        new Backbone("wide", InputSpec.raw(24, 2, 2), nodes, "pool", Node.INPUT, List.of(), w0);
    Trial many = Trial.normal(wide, 1300, SEED);
    Run.of(device, 2, sharing, many, 1, 1300)
        .assertSameBits(Run.of(device, 1, sharing, many, 1, 650, 650));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void restoredFactorsAreTheSameBits(String device, Sharing sharing) {
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, N);
        DeviceVector gradient = engine.vector(trial.delta());
        KroneckerFactors factors = KroneckerFactors.create(plan, sharing);
        KroneckerFactors restored = KroneckerFactors.create(plan, sharing)) {
      plan.forward(trial.images(), N);
      factors.accumulate(plan);
      for (int layer = 0; layer < factors.layers().size(); layer++) {
        restored.write(layer, N, factors.input(layer), factors.output(layer));
      }
      assertEquals(N, restored.samples());
      Run.of(engine, factors, gradient).assertSameBits(Run.of(engine, restored, gradient));
      // more images weigh as if those of before were still there
      plan.forward(Trial.normal(net, 2, SEED + 1).images(), 2);
      double[][] expected = read(factors.accumulate(plan));
      double[][] actual = read(restored.accumulate(plan));
      assertEquals(N + 2, restored.samples());
      for (int i = 0; i < expected.length; i++) {
        assertTrue(relativeError(expected[i], actual[i]) < 1e-14);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void frozenLayersHaveNoFactorsAndNoStep(String device, Sharing sharing) {
    Run all = Run.of(device, 2, sharing, trial, 0, N);
    Set<String> linearised = Set.of("fc", "block1.conv2");
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, linearised, N);
        DeviceVector gradient = engine.vector(trial.delta());
        DeviceVector step = engine.vector(plan.parameters()).fill(7);
        KroneckerFactors factors = KroneckerFactors.create(plan, sharing)) {
      assertEquals(List.of("block1.conv2", "fc"), factors.layers());
      assertEquals(64, factors.inputSide(0));
      assertEquals(16, factors.outputSide(0));
      assertEquals(sharing, factors.sharing());
      assertEquals("KroneckerFactors[2 layers, %s]".formatted(sharing), factors.toString());
      plan.forward(trial.images(), N);
      factors.accumulate(plan).invert(Damping.factored(DAMPING)).precondition(gradient, step);
      float[] expected = new float[trial.delta().length];
      for (ParameterBlock block : net.blocks()) {
        if (linearised.contains(block.node())) {
          System.arraycopy(
              all.factored, block.weightOffset(), expected, block.weightOffset(), block.size());
        }
      }
      assertArrayEquals(expected, step.toArray());
    }
  }
}
