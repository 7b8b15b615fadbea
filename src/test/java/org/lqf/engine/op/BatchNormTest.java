package org.lqf.engine.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;

import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Devices;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Shape;

/**
 * Batch norm in training mode between two layers with weights, against the formula in double and
 * central differences of it. The other ops' contract is not its own: images depend on each other.
 */
class BatchNormTest {

  private static final double EPS = 1e-3;
  private static final int OUTPUTS = 3;

  /**
   * image → 1×1 convolution "lead" → batch norm "norm" → linear "readout".
   *
   * @param n images
   * @param shape of an image
   * @param channels of the batch norm
   */
  private record Case(int n, Shape shape, int channels) {

    Backbone net(float[] parameters) {
      List<Node> nodes =
          List.of(
              OpCase.lead("lead", shape, channels),
              new Node("norm", new Layer.BatchNorm2d(channels, EPS), "lead"),
              new Node("readout", new Layer.Linear(channels * pixels(), OUTPUTS), "norm"));
      InputSpec input = InputSpec.raw(shape.channels(), shape.height(), shape.width());
      return new Backbone("norm", input, nodes, "readout", Node.INPUT, List.of(), parameters);
    }

    int pixels() {
      return shape.height() * shape.width();
    }

    int parameters() {
      return channels * (shape.channels() + 1) + 2 * channels + OUTPUTS * (channels * pixels() + 1);
    }

    float[] randomParameters() {
      float[] w = Numbers.normal(parameters(), 1);
      for (ParameterBlock block : net(new float[parameters()]).blocks()) {
        for (int i = block.weightOffset(); i < block.biasOffset(); i++) {
          w[i] /= (float) Math.sqrt(block.in());
        }
      }
      return w;
    }

    float[] images() {
      return Numbers.normal(n * shape.size(), 2);
    }

    float[] cotangent() {
      return Numbers.normal(n * OUTPUTS, 3);
    }

    /** Outputs [n, OUTPUTS], by plain loops; fills statistics [2, channels]. */
    double[] outputs(double[] w, double[] statistics) {
      float[] images = images();
      double[][] lead = new double[channels][n * pixels()];
      int in = shape.channels();
      for (int k = 0; k < channels; k++) {
        for (int i = 0; i < n; i++) {
          for (int t = 0; t < pixels(); t++) {
            double sum = w[channels * in + k];
            for (int c = 0; c < in; c++) {
              sum += w[k * in + c] * images[(i * in + c) * pixels() + t];
            }
            lead[k][i * pixels() + t] = sum;
          }
        }
      }
      int gamma = channels * (in + 1);
      int readout = gamma + 2 * channels;
      double[] out = new double[n * OUTPUTS];
      for (int i = 0; i < n; i++) {
        for (int o = 0; o < OUTPUTS; o++) {
          out[i * OUTPUTS + o] = w[readout + OUTPUTS * channels * pixels() + o];
        }
      }
      for (int k = 0; k < channels; k++) {
        double mean = 0;
        double variance = 0;
        int m = n * pixels();
        for (double x : lead[k]) {
          mean += x / m;
        }
        for (double x : lead[k]) {
          variance += (x - mean) * (x - mean) / m;
        }
        statistics[k] = mean;
        statistics[channels + k] = variance * m / (m - 1);
        for (int i = 0; i < n; i++) {
          for (int t = 0; t < pixels(); t++) {
            double hat = (lead[k][i * pixels() + t] - mean) / Math.sqrt(variance + EPS);
            double y = w[gamma + k] * hat + w[gamma + channels + k];
            for (int o = 0; o < OUTPUTS; o++) {
              out[i * OUTPUTS + o] += w[readout + (o * channels + k) * pixels() + t] * y;
            }
          }
        }
      }
      return out;
    }

    /** Gradient of Σ cotangent · outputs, by central differences. */
    double[] gradient(double[] w) {
      double[] u = Numbers.widen(cotangent());
      double[] gradient = new double[w.length];
      double[] ignored = new double[2 * channels];
      for (int p = 0; p < w.length; p++) {
        double[] moved = w.clone();
        moved[p] += 1e-5;
        double above = Numbers.dot(u, outputs(moved, ignored));
        moved[p] -= 2e-5;
        gradient[p] = (above - Numbers.dot(u, outputs(moved, ignored))) / 2e-5;
      }
      return gradient;
    }
  }

  private static final List<Case> CASES =
      List.of(
          new Case(2, new Shape(3, 5, 7), 1),
          new Case(3, new Shape(3, 4, 4), 16),
          new Case(1, new Shape(1, 3, 2), 17),
          new Case(7, new Shape(3, 1, 1), 13),
          new Case(5, new Shape(3, 2, 3), 33));

  static Stream<Arguments> cases() {
    return Devices.all().flatMap(device -> CASES.stream().map(norm -> Arguments.of(device, norm)));
  }

  /** Outputs, statistics, gradient on top of ones. */
  private record Results(float[] outputs, float[] statistics, float[] gradient) {}

  private static Results run(String device, int threads, int maxBatch, Case norm) {
    try (Engine engine = Engine.open(device, threads);
        Plan plan = engine.compile(norm.net(norm.randomParameters()), maxBatch);
        DeviceVector out = engine.vector((long) norm.n * OUTPUTS);
        DeviceVector statistics = engine.vector(plan.statisticsLength());
        DeviceVector gradient = engine.vector(plan.parameters()).fill(1);
        DeviceVector cotangent = engine.vector(norm.cotangent())) {
      plan.forward(norm.images(), norm.n);
      plan.outputs(out);
      plan.statistics(statistics);
      plan.vjp(cotangent, gradient);
      return new Results(out.toArray(), statistics.toArray(), gradient.toArray());
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void outputsStatisticsAndGradientAreThoseOfTheFormula(String device, Case norm) {
    double[] w = Numbers.widen(norm.randomParameters());
    double[] statistics = new double[2 * norm.channels];
    double[] outputs = norm.outputs(w, statistics);
    Results results = run(device, 2, norm.n + 2, norm);
    assertClose(outputs, results.outputs, 1e-6, "outputs");
    assertClose(statistics, results.statistics, 1e-6, "statistics");
    double[] expected = norm.gradient(w);
    double[] actual = Numbers.widen(results.gradient);
    for (int p = 0; p < actual.length; p++) {
      actual[p] -= 1;
    }
    assertClose(expected, actual, 3e-6, "gradient");
  }

  @ParameterizedTest
  @MethodSource("cases")
  void bitsDoNotDependOnTheThreads(String device, Case norm) {
    Results alone = run(device, 1, norm.n, norm);
    Results three = run(device, 3, norm.n + 5, norm);
    assertArrayEquals(alone.outputs, three.outputs);
    assertArrayEquals(alone.statistics, three.statistics);
    assertArrayEquals(alone.gradient, three.gradient);
  }

  @Test
  void aFrozenBatchNormStillPassesTheCotangentOn() {
    Case norm = CASES.get(1);
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = engine.compile(norm.net(norm.randomParameters()), Set.of("lead"), norm.n);
        DeviceVector gradient = engine.vector(plan.parameters()).fill(1);
        DeviceVector cotangent = engine.vector(norm.cotangent())) {
      plan.forward(norm.images(), norm.n);
      plan.vjp(cotangent, gradient);
      float[] all = run("cpu", 2, norm.n, norm).gradient;
      float[] some = gradient.toArray();
      int lead = norm.channels * (norm.shape.channels() + 1);
      for (int p = 0; p < some.length; p++) {
        assertEquals(p < lead ? all[p] : 1, some[p], "parameter " + p);
      }
    }
  }

  @Test
  void refusesWhatNeedsAJacobianOfEachImage() {
    Case norm = CASES.get(0);
    try (Engine engine = Engine.open("cpu", 1);
        Plan plan = engine.compile(norm.net(norm.randomParameters()), norm.n);
        DeviceVector delta = engine.vector(plan.parameters());
        DeviceVector out = engine.vector((long) norm.n * OUTPUTS * plan.parameters())) {
      refuses("no images", () -> plan.statistics(out));
      plan.forward(norm.images(), norm.n);
      refuses("jvp is for networks whose batch norm is folded", () -> plan.jvp(delta, out));
      refuses("jacobian is for networks", () -> plan.jacobian(out));
      float[] scores = new float[norm.n * OUTPUTS];
      refuses("predict is for networks", () -> plan.predict(delta, norm.images(), norm.n, scores));
      refuses("jvp is for networks", () -> plan.forwardJvp(norm.images(), norm.n, delta, out));
      refuses(
          "Kronecker factors are for networks",
          () -> KroneckerFactors.create(plan, Sharing.REDUCE).close());
    }
  }

  @Test
  void refusesASingleValueAChannel() {
    Case norm = new Case(7, new Shape(3, 1, 1), 13);
    try (Engine engine = Engine.open("cpu", 1);
        Plan plan = engine.compile(norm.net(norm.randomParameters()), norm.n)) {
      refuses(
          "batch_norm \"norm\": one value a channel has no variance",
          () -> plan.forward(norm.images(), 1));
    }
  }

  @Test
  void namesTheNodeThatDoesNotFit() {
    Node odd = new Node("odd", new Layer.BatchNorm2d(4, EPS), Node.INPUT);
    refuses(
        "\"odd\" (node 0): has 4 channels but its input has 3",
        () -> OpCase.graph("odd", new Shape(3, 4, 4), List.of(odd)));
    refuses("eps must be finite and positive, got 0.0", () -> new Layer.BatchNorm2d(4, 0));
  }

  private static void refuses(String said, Executable call) {
    String message = assertThrows(RuntimeException.class, call).getMessage();
    assertTrue(message.contains(said), message);
  }
}
