package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;

/** Convolutions on tensor cores, against the oracle in double. */
class PrecisionTest {

  private static final int N = 2;

  /** Two convolutions without a kink, so that nothing decides differently in less precision. */
  private static Backbone network(Layer.Conv2d first, Layer.Conv2d second) {
    List<Node> nodes =
        List.of(
            new Node("first", first, Node.INPUT),
            new Node("second", second, "first"),
            new Node("mean", new Layer.GlobalAvgPool(), "second"));
    List<ParameterBlock> layout = ParameterBlock.layout(nodes);
    int parameters = layout.get(layout.size() - 1).end();
    float[] w0 = Numbers.normal(parameters, 5);
    Backbone net =
        new Backbone(
            "two",
            InputSpec.raw(first.inChannels(), 17, 19),
            nodes,
            "mean",
            Node.INPUT,
            List.of(),
            new float[parameters]);
    for (ParameterBlock block : net.blocks()) {
      for (int i = block.weightOffset(); i < block.end(); i++) {
        w0[i] /= (float) Math.sqrt(block.in());
      }
    }
    return net.withW0(w0);
  }

  private static Backbone single(Layer.Conv2d conv) {
    List<Node> nodes =
        List.of(
            new Node("conv", conv, Node.INPUT),
            new Node("mean", new Layer.GlobalAvgPool(), "conv"));
    int parameters = ParameterBlock.layout(nodes).get(0).end();
    InputSpec input = InputSpec.raw(conv.inChannels(), 17, 19);
    return new Backbone("one", input, nodes, "mean", Node.INPUT, List.of(), new float[parameters]);
  }

  static Stream<Arguments> cases() {
    List<Backbone> networks =
        List.of(
            network(new Layer.Conv2d(3, 20, 3, 3, 1, 1), new Layer.Conv2d(20, 70, 1, 1, 1, 0)),
            network(new Layer.Conv2d(5, 64, 7, 7, 2, 3), new Layer.Conv2d(64, 13, 3, 3, 2, 1)));
    return Devices.all()
        .filter(device -> device.equals("emulator") || device.equals("cuda"))
        .flatMap(
            device ->
                networks.stream()
                    .flatMap(
                        net ->
                            Stream.of(
                                Arguments.of(device, Precision.FP32, 1e-6, net),
                                Arguments.of(device, Precision.TF32, 1e-3, net),
                                Arguments.of(device, Precision.BF16, 1e-2, net))));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void verbsAgreeWithTheOracle(String device, Precision precision, double bound, Backbone net) {
    Trial trial = Trial.normal(net, N, 40);
    Verbs oracle = trial.oracle();
    try (Engine engine = Engine.open(device, 1, Winograd.F2, precision);
        Plan plan = engine.compile(net, N)) {
      Verbs verbs = trial.on(engine, plan);
      oracle.assertClose(verbs, bound);
      if (precision != Precision.FP32) {
        assertThrows(AssertionError.class, () -> oracle.assertClose(verbs, 1e-6), "it is in use");
        assertTrue(engine.describe().contains("convolutions in " + precision), engine.describe());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void predictIsForwardPlusJvpBitForBit(
      String device, Precision precision, double bound, Backbone net) {
    Trial trial = Trial.normal(net, N, 41);
    try (Engine engine = Engine.open(device, 1, Winograd.F2, precision);
        Plan plan = engine.compile(net, N);
        DeviceVector delta = engine.vector(trial.delta())) {
      Verbs verbs = trial.on(engine, plan);
      float[] scores = new float[N * plan.classes()];
      plan.predict(delta, trial.images(), N, scores);
      for (int i = 0; i < scores.length; i++) {
        assertEquals((float) verbs.outputs()[i] + (float) verbs.jvp()[i], scores[i]);
      }
      assertClose(trial.oracle().outputs(), verbs.outputs(), bound, "outputs");
    }
  }

  static Stream<Arguments> gradients() {
    return cases().filter(arguments -> arguments.get()[1] != Precision.FP32);
  }

  /** Of one convolution: its input and its cotangent are exact. */
  @ParameterizedTest
  @MethodSource("gradients")
  void weightGradientsAreRoundedNoMoreThanTheirOperands(
      String device, Precision precision, double bound, Backbone net) {
    Layer.Conv2d first = (Layer.Conv2d) net.nodes().get(0).layer();
    Trial trial = Trial.normal(single(first), N, 42);
    try (Engine engine = Engine.open(device, 1, Winograd.F2, precision);
        Plan plan = engine.compile(trial.net(), N)) {
      double[] exact = trial.oracle().vjp();
      double[] gradient = trial.on(engine, plan).vjp();
      assertClose(exact, gradient, bound, "gradient");
      double error = Numbers.relativeError(exact, gradient);
      assertTrue(error > bound / 50, () -> "is it in fp32? error " + error);
    }
  }

  @Test
  void aDeviceWithoutTensorCoresRefuses() {
    LqfException e =
        assertThrows(
            LqfException.class, () -> Engine.open("cpu", 1, Winograd.F2, Precision.TF32).close());
    assertEquals(LqfException.Status.UNAVAILABLE, e.status());
    assertTrue(e.getMessage().startsWith("device cpu computes in fp32, not in tf32"), e::toString);
  }
}
