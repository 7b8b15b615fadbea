package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;
import static org.lqf.engine.Numbers.flat;
import static org.lqf.engine.Numbers.norm;
import static org.lqf.engine.Numbers.normal;
import static org.lqf.engine.Numbers.widen;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.model.Backbone;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Safetensors;

/** A residual network with every kind of layer, on both back ends. */
class PlanTest {

  private static final int N = 5;
  private static final double BOUND = 1e-6; // some twenty layers, each of them rounds
  private static final long SEED = 30;

  private final Safetensors golden = Goldens.read("kinds-golden");
  private final Backbone net = Goldens.kinds().withW0(golden.get("w0").floats());

  /** Of images that stay away from kinks: there float and double may decide differently. */
  private final Trial trial =
      new Trial(
          net,
          N,
          golden.get("images").floats(),
          Trial.normal(net, N, SEED).delta(),
          normal(N * net.outputShape().size(), SEED + 1));

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void verbsAgreeWithTheOracle(String device) {
    trial.oracle().assertClose(trial.on(device, 2, N, N), BOUND);
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void jvpIsTheCentralDifferenceOfTheOracle(String device) {
    double step = 1e-5;
    double[] actual = trial.on(device, 2, N, N).jvp();
    double[] expected = new double[actual.length];
    int classes = actual.length / N;
    for (int i = 0; i < N; i++) {
      double[] up = moved(step).forward(trial.image(i));
      double[] down = moved(-step).forward(trial.image(i));
      for (int c = 0; c < classes; c++) {
        expected[i * classes + c] = (up[c] - down[c]) / (2 * step);
      }
    }
    assertClose(expected, actual, BOUND, "jvp");
  }

  private DualOracle moved(double step) {
    double[] w = widen(net.w0());
    Arrays.setAll(w, i -> w[i] + step * trial.delta()[i]);
    return new DualOracle(net).at(w);
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void withoutDisplacementTheLinearModelIsTheNetworkBitForBit(String device) {
    Verbs still = trial.withDelta(new float[trial.delta().length]).on(device, 2, N, N);
    assertTrue(Arrays.stream(still.jvp()).allMatch(v -> v == 0), "J0 = 0");
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, N);
        DeviceVector zero = engine.vector(plan.parameters())) {
      float[] scores = new float[N * plan.classes()];
      plan.predict(zero, trial.images(), N, scores);
      assertArrayEquals(still.outputs(), widen(scores));
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void predictIsForwardPlusJvpBitForBit(String device) {
    Verbs verbs = trial.on(device, 2, N, N);
    try (Engine engine = Engine.open(device, 3);
        Plan plan = engine.compile(net, 2 * N);
        DeviceVector delta = engine.vector(trial.delta());
        DeviceVector out = engine.vector(N * plan.classes())) {
      float[] scores = new float[N * plan.classes() + 1];
      scores[N * plan.classes()] = 7;
      plan.predict(delta, trial.images(), N, scores);
      for (int i = 0; i < scores.length - 1; i++) {
        assertEquals((float) verbs.outputs()[i] + (float) verbs.jvp()[i], scores[i]);
      }
      assertEquals(7, scores[scores.length - 1], "entries beyond are left as they are");
      assertEquals(N, plan.images(), "predict takes the place of forward");
      plan.outputs(out);
      assertArrayEquals(verbs.outputs(), widen(out.toArray()));
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void forwardJvpIsForwardThenJvpBitForBit(String device) {
    Verbs verbs = trial.on(device, 2, N, N);
    FloatBuffer direct =
        ByteBuffer.allocateDirect(Float.BYTES * trial.images().length)
            .order(ByteOrder.nativeOrder())
            .asFloatBuffer()
            .put(trial.images())
            .flip();
    try (Engine engine = Engine.open(device, 3);
        Plan plan = engine.compile(net, 2 * N);
        DeviceVector delta = engine.vector(trial.delta());
        DeviceVector bar = engine.vector(trial.cotangent());
        DeviceVector there = engine.vector(trial.images());
        DeviceVector out = engine.vector(N * plan.classes() + 1).fill(7);
        DeviceVector gradient = engine.vector(plan.parameters())) {
      long forwards = plan.forwards();
      plan.forwardJvp(trial.images(), N, delta, out);
      float[] values = out.toArray();
      assertEquals(7, values[values.length - 1], "entries beyond are left as they are");
      assertArrayEquals(verbs.jvp(), widen(Arrays.copyOf(values, values.length - 1)));
      assertEquals(N, plan.images());
      assertTrue(plan.forwards() > forwards);
      plan.vjp(bar, gradient);
      assertArrayEquals(verbs.vjp(), widen(gradient.toArray()), "it keeps what vjp needs");
      float[] others = Trial.normal(net, N, SEED + 3).images();
      plan.forward(others, N);
      plan.forwardJvp(direct, N, delta, out.fill(7));
      assertArrayEquals(values, out.toArray());
      plan.forward(others, N);
      plan.forwardJvp(there, N, delta, out.fill(7));
      assertArrayEquals(values, out.toArray());
      plan.outputs(out);
      assertArrayEquals(verbs.outputs(), widen(Arrays.copyOf(out.toArray(), values.length - 1)));
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void jacobianHasTheRowsThatJvpAndVjpMultiplyBy(String device) {
    Verbs verbs = trial.on(device, 2, N, N);
    double[] jacobian = widen(jacobian(device, 2, trial, net.parameters(), N));
    DualOracle oracle = new DualOracle(net);
    double[] first = flat(oracle.jacobian(trial.image(0)));
    assertClose(first, Arrays.copyOf(jacobian, first.length), BOUND, "rows of the first image");

    int parameters = trial.delta().length;
    double[] jvp = new double[verbs.jvp().length];
    double[] vjp = new double[parameters];
    for (int r = 0; r < jvp.length; r++) {
      for (int p = 0; p < parameters; p++) {
        jvp[r] += jacobian[r * parameters + p] * trial.delta()[p];
        vjp[p] += jacobian[r * parameters + p] * trial.cotangent()[r];
      }
    }
    assertClose(jvp, verbs.jvp(), BOUND, "jvp");
    assertClose(vjp, verbs.vjp(), BOUND, "vjp");
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void theJacobianBySomeLayersHasTheirColumns(String device) {
    float[] whole = jacobian(device, 2, trial, net.parameters(), N);
    List<ParameterBlock> blocks = net.blocks();
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, N);
        DeviceVector rows = engine.vector(whole.length + net.parameters())) {
      plan.forward(trial.images(), N);
      for (int from = 0; from < blocks.size(); from++) {
        for (int to : new int[] {from, blocks.size() - 1}) {
          int first = blocks.get(from).weightOffset();
          int length = blocks.get(to).end() - first;
          plan.jacobian(rows.fill(7), 1, new Plan.Columns(first, length), plan.classes());
          float[] part = rows.toArray();
          assertEquals(7, part[length - 1], "before the row that was asked for");
          for (int r = 0; r < N * plan.classes(); r++) {
            int at = (int) (r * net.parameters()) + first;
            assertArrayEquals(
                Arrays.copyOfRange(whole, at, at + length),
                Arrays.copyOfRange(part, (r + 1) * length, (r + 2) * length),
                "row " + r + " of layers " + from + " to " + to);
          }
        }
      }
      int inside = blocks.get(0).weightOffset() + 1;
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class,
              () -> plan.jacobian(rows, 0, new Plan.Columns(inside, inside), plan.classes()));
      assertTrue(e.getMessage().contains("take whole layers"), e::getMessage);
    }
  }

  private static float[] jacobian(
      String device, int threads, Trial trial, long parameters, int maxBatch) {
    try (Engine engine = Engine.open(device, threads);
        Plan plan = engine.compile(trial.net(), maxBatch);
        DeviceVector rows = engine.vector(trial.n() * plan.classes() * parameters).fill(7)) {
      plan.forward(trial.images(), trial.n());
      plan.jacobian(rows);
      return rows.toArray();
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void bitsDependNeitherOnThreadsNorOnTheBatch(String device) {
    Trial many = Trial.normal(net, 67, SEED + 2); // a plan works on some at a time
    Verbs together = many.on(device, 1, 67, 67);
    together.assertSameBits(many.on(device, 2, 67, 67));
    together.assertSameBits(many.on(device, 3, 100, 1, 30, 7, 29));
    Trial few = many.part(0, 2);
    float[] rows = jacobian(device, 1, few, net.parameters(), 2);
    assertArrayEquals(rows, jacobian(device, 3, few, net.parameters(), 67));
    float[] second = jacobian(device, 2, few.part(1, 1), net.parameters(), 1);
    assertArrayEquals(Arrays.copyOfRange(rows, second.length, rows.length), second);
  }

  static Stream<Arguments> frozenSets() {
    Set<String> all =
        Goldens.kinds().blocks().stream().map(ParameterBlock::node).collect(Collectors.toSet());
    Set<String> allButLast = new HashSet<>(all);
    allButLast.remove("fc");
    return Devices.all()
        .flatMap(
            device ->
                Stream.of(
                        allButLast,
                        Set.of("stem.conv1", "stem.conv2"),
                        Set.of("block1.conv2", "fc"),
                        Set.of("block1.conv1", "block1.conv2", "side.conv"))
                    .map(frozen -> Arguments.of(device, frozen)));
  }

  @ParameterizedTest
  @MethodSource("frozenSets")
  void frozenLayersNeitherMoveNorGetAGradient(String device, Set<String> frozen) {
    Set<String> linearised = new HashSet<>();
    net.blocks().forEach(block -> linearised.add(block.node()));
    linearised.removeAll(frozen);
    Verbs expected = trial.oracle(frozen);
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, linearised, N);
        DeviceVector gradient = engine.vector(plan.parameters()).fill(7);
        DeviceVector rows = engine.vector(N * plan.classes() * plan.parameters()).fill(7);
        DeviceVector bar = engine.vector(trial.cotangent())) {
      assertEquals(linearised, plan.linearised().layers());
      Verbs actual = trial.on(engine, plan);
      assertClose(expected.outputs(), actual.outputs(), BOUND, "forward");
      assertClose(expected.jvp(), actual.jvp(), BOUND, "jvp");
      // not assertClose: with all but the head frozen most of it is zero, and has to be
      double[] error = actual.vjp().clone();
      Arrays.setAll(error, i -> error[i] - expected.vjp()[i]);
      assertTrue(norm(error) <= BOUND * norm(expected.vjp()), "vjp");

      plan.vjp(bar, gradient);
      plan.jacobian(rows);
      float[] g = gradient.toArray();
      float[] j = rows.toArray();
      for (ParameterBlock block : net.blocks()) {
        boolean still = frozen.contains(block.node());
        for (int p = block.weightOffset(); p < block.end(); p++) {
          assertEquals(still, g[p] == 7, block.node());
          for (int r = 0; still && r < N * plan.classes(); r++) {
            assertEquals(0, j[r * g.length + p], block.node());
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void withEverythingFrozenTheJacobianIsZero(String device) {
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, Set.of(), N)) {
      Verbs verbs = trial.on(engine, plan);
      assertClose(trial.oracle().outputs(), verbs.outputs(), BOUND, "forward");
      assertEquals(0, norm(verbs.jvp()));
      assertEquals(0, norm(verbs.vjp()));
      try (DeviceVector delta = engine.vector(trial.delta());
          DeviceVector out = engine.vector(N * plan.classes()).fill(7)) {
        plan.forwardJvp(trial.images(), N, delta, out);
        assertEquals(0, out.norm());
        plan.outputs(out);
        assertArrayEquals(verbs.outputs(), widen(out.toArray()));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void setParametersMovesThePointOfLinearisation(String device) {
    float[] other = normal((int) net.parameters(), SEED + 3);
    for (int i = 0; i < other.length; i++) {
      other[i] = net.w0()[i] + 0.01f * other[i];
    }
    Trial there = new Trial(net.withW0(other), N, trial.images(), trial.delta(), trial.cotangent());
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, N);
        DeviceVector parameters = engine.vector(other)) {
      Verbs before = trial.on(engine, plan);
      plan.setParameters(parameters);
      parameters.fill(0); // they were copied
      assertEquals(0, plan.images());
      there.on(device, 1, N, N).assertSameBits(there.on(engine, plan));
      plan.setParameters(parameters.write(net.w0()));
      before.assertSameBits(trial.on(engine, plan));
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void plansOfOneEngineDoNotDisturbEachOther(String device) {
    Trial other = Trial.normal(net, 2, SEED + 4);
    Verbs expected = trial.on(device, 1, N, N);
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, N);
        DeviceVector delta = engine.vector(trial.delta());
        DeviceVector out = engine.vector(N * plan.classes());
        DeviceVector bar = engine.vector(trial.cotangent());
        DeviceVector gradient = engine.vector(plan.parameters())) {
      plan.forward(trial.images(), N);
      try (Plan second = engine.compile(net, Set.of("stem.conv1"), 80)) { // widens the scratch
        other.on(engine, second);
        plan.jvp(delta, out);
        other.on(engine, second);
      }
      plan.vjp(bar, gradient);
      assertArrayEquals(expected.jvp(), widen(out.toArray()));
      assertArrayEquals(expected.vjp(), widen(gradient.toArray()));
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void imagesComeFromDirectBuffersToo(String device) {
    FloatBuffer buffer =
        ByteBuffer.allocateDirect(Float.BYTES * (trial.images().length + 3))
            .order(ByteOrder.nativeOrder())
            .asFloatBuffer();
    buffer.position(3);
    buffer.put(trial.images());
    buffer.position(3);
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, N);
        DeviceVector fromArray = engine.vector(N * plan.classes());
        DeviceVector out = engine.vector(N * plan.classes() + 1).fill(7)) {
      plan.forward(trial.images(), N);
      plan.outputs(fromArray);
      plan.forward(buffer, N);
      plan.outputs(out);
      assertEquals(3, buffer.position());
      float[] values = out.toArray();
      assertEquals(7, values[values.length - 1], "entries beyond are left as they are");
      assertArrayEquals(fromArray.toArray(), Arrays.copyOf(values, values.length - 1));
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void describesItsStepsAndItsMemory(String device) {
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, Set.of("fc"), 9);
        Plan wider = engine.compile(net, 90)) {
      List<String> lines = plan.describe().lines().toList();
      assertEquals(1 + net.nodes().size(), lines.size());
      assertTrue(lines.get(0).contains("9 images at most"), lines.get(0));
      assertTrue(lines.get(0).contains(device), lines.get(0));
      // a processor fills its caches, each thread its own where the network is small; a device
      // takes equal parts
      String together =
          switch (device) {
            case "cpu" -> "28 at a time on each of 2 threads;";
            case "reference" -> "64 at a time;";
            default -> "45 at a time;";
          };
      assertTrue(wider.describe().startsWith("90 images at most, " + together), wider.describe());
      for (int i = 0; i < net.nodes().size(); i++) {
        String line = lines.get(i + 1);
        String name = net.nodes().get(i).name();
        assertTrue(line.contains(name), line);
        assertTrue(line.contains("-> " + net.shapes().get(name)), line);
        assertEquals(name.equals("fc"), line.contains("linearised"), line);
      }
      assertTrue(plan.memoryBytes() > 4 * net.parameters());
      assertTrue(wider.memoryBytes() > plan.memoryBytes());
      assertTrue(plan.sharedMemoryBytes() > 0);
      assertTrue(engine.memoryBytes() >= plan.memoryBytes() + wider.memoryBytes());
      assertEquals("Plan[kinds, 1 of 9 layers linearised, up to 9 images]", plan.toString());
      assertEquals(9, plan.maxBatch());
      assertEquals(net, plan.backbone());
    }
  }
}
