package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;

/** The oracle against calculus, against itself, and against numbers worked out by hand. */
class DualOracleTest {

  private static final int CLASSES = 3;

  /** Every kind of layer, odd sizes, both kinds of shortcut, a value that is used twice. */
  private static Backbone everyLayer(float slope, long seed) {
    List<Node> nodes =
        List.of(
            new Node("conv1", new Layer.Conv2d(2, 4, 3, 2, 2, 1), "input"), // [4,5,6]
            new Node("act1", new Layer.LeakyRelu(slope), "conv1"),
            new Node("max", new Layer.MaxPool2d(3, 1, 1), "act1"), // [4,5,6]
            new Node("conv2", new Layer.Conv2d(4, 6, 3, 3, 2, 1), "max"), // [6,3,3]
            new Node("short1", new Layer.SubsamplePadChannels(2, 1, 1), "max"), // [6,3,3]
            new Node("add1", new Layer.Add(), List.of("conv2", "short1")),
            new Node("act2", new Layer.LeakyRelu(slope), "add1"),
            new Node("avg", new Layer.AvgPool2d(2, 1, 1), "act2"), // [6,4,4]
            new Node("conv3", new Layer.Conv2d(6, 5, 1, 1, 1, 0), "avg"), // [5,4,4]
            new Node("twice", new Layer.Add(), List.of("conv3", "conv3")),
            new Node("act3", new Layer.LeakyRelu(slope), "twice"),
            new Node("gap", new Layer.GlobalAvgPool(), "act3"),
            new Node("fc", new Layer.Linear(5, CLASSES), "gap"));
    List<ParameterBlock> layout = ParameterBlock.layout(nodes);
    float[] w0 = new float[layout.get(layout.size() - 1).end()];
    Random random = new Random(seed);
    for (int i = 0; i < w0.length; i++) {
      w0[i] = (float) random.nextGaussian() / 3;
    }
    return new Backbone("every-layer", InputSpec.raw(2, 9, 10), nodes, "fc", "act3", List.of(), w0);
  }

  private static double[] normal(int length, long seed) {
    Random random = new Random(seed);
    return random.doubles(length).map(u -> random.nextGaussian()).toArray();
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static double[] plus(double[] a, double factor, double[] b) {
    double[] sum = a.clone();
    Arrays.setAll(sum, i -> a[i] + factor * b[i]);
    return sum;
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void jvpIsTheCentralDifference(long seed) {
    Backbone net = everyLayer(0.1f, seed);
    double[] image = normal(net.input().shape().size(), seed + 100);
    double[] delta = normal((int) net.parameters(), seed + 200);
    double step = 1e-6;
    double[] w0 = DualOracle.widen(net.w0());
    DualOracle oracle = new DualOracle(net);

    double[] up = oracle.at(plus(w0, step, delta)).forward(image);
    double[] down = oracle.at(plus(w0, -step, delta)).forward(image);
    double[] difference = plus(up, -1, down);
    Arrays.setAll(difference, c -> difference[c] / (2 * step));

    double[] jvp = oracle.jvp(image, delta);
    double scale = Math.sqrt(dot(jvp, jvp));
    assertTrue(scale > 1e-2, "a jvp of nearly zero would prove nothing: " + scale);
    assertArrayEquals(difference, jvp, 1e-8 * scale);
  }

  @Test
  void vjpIsTheAdjointOfJvp() {
    Backbone net = everyLayer(0.25f, 7);
    DualOracle oracle = new DualOracle(net);
    double[] image = normal(net.input().shape().size(), 8);
    double[] delta = normal((int) net.parameters(), 9);
    double[] cotangent = normal(CLASSES, 10);
    double left = dot(cotangent, oracle.jvp(image, delta));
    double right = dot(oracle.vjp(image, cotangent), delta);
    assertEquals(left, right, 1e-12 * Math.abs(left));
  }

  @Test
  void rowsOfTheJacobianTimesDeltaAreTheJvp() {
    Backbone net = everyLayer(0f, 11); // ReLU
    DualOracle oracle = new DualOracle(net);
    double[] image = normal(net.input().shape().size(), 12);
    double[] delta = normal((int) net.parameters(), 13);
    double[][] rows = oracle.jacobian(image);
    double[] jvp = oracle.jvp(image, delta);
    for (int c = 0; c < CLASSES; c++) {
      assertEquals(jvp[c], dot(rows[c], delta), 1e-12 * Math.sqrt(dot(jvp, jvp)));
    }
  }

  @Test
  void everyParameterMovesTheOutput() {
    Backbone net = everyLayer(0.1f, 14); // leaky: no unit is dead
    double[][] rows = new DualOracle(net).jacobian(normal(net.input().shape().size(), 15));
    for (int i = 0; i < net.parameters(); i++) {
      double column = 0;
      for (double[] row : rows) {
        column += Math.abs(row[i]);
      }
      assertTrue(column > 0, "parameter " + i + " has a zero column");
    }
  }

  @Test
  void frozenLayersNeitherMoveNorReceive() {
    Backbone net = everyLayer(0.1f, 16);
    DualOracle all = new DualOracle(net);
    DualOracle some = new DualOracle(net, Set.of("conv2", "fc"));
    double[] image = normal(net.input().shape().size(), 17);
    double[] delta = normal((int) net.parameters(), 18);
    double[] cotangent = normal(CLASSES, 19);

    double[] moving = delta.clone();
    double[] expected = all.vjp(image, cotangent);
    for (ParameterBlock block : net.blocks()) {
      if (block.node().equals("conv2") || block.node().equals("fc")) {
        Arrays.fill(moving, block.weightOffset(), block.end(), 0);
        Arrays.fill(expected, block.weightOffset(), block.end(), 0);
      }
    }
    assertArrayEquals(all.jvp(image, moving), some.jvp(image, delta), 0);
    assertArrayEquals(expected, some.vjp(image, cotangent), 0);
    assertArrayEquals(all.forward(image), some.forward(image), 0);
    assertThrows(
        IllegalArgumentException.class, () -> some.inputFactor(List.of(image), "fc", false));
  }

  @Test
  void convolutionOfTwoPixelsIsWorkedOutByHand() {
    // x = [1, 2], kernel [3, 4] with padding 1 in both directions: middle row 4·1, 3·1+4·2, 3·2
    Backbone net =
        new Backbone(
            "hand",
            InputSpec.raw(1, 1, 2),
            List.of(new Node("conv", new Layer.Conv2d(1, 1, 1, 2, 1, 1), "input")),
            "conv",
            "input",
            List.of(),
            new float[] {3, 4, 0.5f});
    DualOracle oracle = new DualOracle(net);
    double[] forward = oracle.forward(new double[] {1, 2});
    assertArrayEquals(new double[] {.5, .5, .5, 4.5, 11.5, 6.5, .5, .5, .5}, forward, 0);
    double[] jvp = oracle.jvp(new double[] {1, 2}, new double[] {10, 100, 1000});
    assertArrayEquals(new double[] {1000, 1000, 1000, 1100, 1210, 1020, 1000, 1000, 1000}, jvp, 0);
    // cotangent 1 everywhere: each weight meets 1 and 2 once, the bias nine positions
    double[] ones = new double[9];
    Arrays.fill(ones, 1);
    assertArrayEquals(new double[] {3, 3, 9}, oracle.vjp(new double[] {1, 2}, ones), 0);
    // patches [0,1] [1,2] [2,0] and six of zeros: sums of squares 5, 5, products 2, sums 3, count 9
    double[][] a = oracle.inputFactor(List.of(new double[] {1, 2}), "conv", false);
    assertArrayEquals(new double[][] {{5, 2, 3}, {2, 5, 3}, {3, 3, 9}}, a);
    // one unit cotangent per output and position: gg^T sums to 9, over T = 9 positions
    double[][] gamma = oracle.outputFactor(List.of(new double[] {1, 2}), "conv", false);
    assertEquals(1, gamma[0][0], 1e-15);
    double[][] reduced = oracle.outputFactor(List.of(new double[] {1, 2}), "conv", true);
    assertEquals(9, reduced[0][0], 1e-15);
  }

  @Test
  void poolsAreWorkedOutByHand() {
    double[] image = {1, 5, 5, 2}; // [1,2,2]
    assertArrayEquals(new double[] {13 / 4.0}, single(new Layer.GlobalAvgPool(), image), 0);
    // windows of 2×2, stride 2, padding 1: each holds one pixel and three paddings
    assertArrayEquals(
        new double[] {.25, 1.25, 1.25, .5}, single(new Layer.AvgPool2d(2, 2, 1), image), 0);
    assertArrayEquals(
        new double[] {-1, -5, -5, -2},
        single(new Layer.MaxPool2d(2, 2, 1), new double[] {-1, -5, -5, -2}),
        0);
    assertArrayEquals(
        new double[] {0, 1, 0, 0}, single(new Layer.SubsamplePadChannels(2, 1, 2), image), 0);
    assertArrayEquals(
        new double[] {2, 0, -0.5, -1},
        single(new Layer.LeakyRelu(0.5f), new double[] {2, 0, -1, -2}),
        0);
  }

  private static double[] single(Layer layer, double[] image) {
    Backbone net =
        new Backbone(
            "single",
            InputSpec.raw(1, 2, 2),
            List.of(new Node("layer", layer, "input")),
            "layer",
            "input",
            List.of(),
            new float[0]);
    return new DualOracle(net).forward(image);
  }

  @Test
  void theFirstOfEqualMaximaReceivesTheCotangent() {
    List<Node> nodes =
        List.of(
            new Node("conv", new Layer.Conv2d(1, 1, 1, 1, 1, 0), "input"),
            new Node("max", new Layer.MaxPool2d(2, 2, 0), "conv"));
    Backbone net =
        new Backbone(
            "max", InputSpec.raw(1, 2, 2), nodes, "max", "input", List.of(), new float[] {0, 1});
    // all four values are equal: d/dw must be the first pixel, not another and not their mean
    double[] gradient = new DualOracle(net).vjp(new double[] {7, 5, 3, 1}, new double[] {1});
    assertArrayEquals(new double[] {7, 1}, gradient, 0);
  }

  @Test
  void theMaskAtZeroIsTheSlope() {
    List<Node> nodes =
        List.of(
            new Node("conv", new Layer.Conv2d(1, 1, 1, 1, 1, 0), "input"),
            new Node("act", new Layer.LeakyRelu(0.25f), "conv"));
    Backbone net =
        new Backbone(
            "kink", InputSpec.raw(1, 1, 1), nodes, "act", "input", List.of(), new float[] {0, 0});
    assertArrayEquals(
        new double[] {0.5}, new DualOracle(net).jvp(new double[] {2}, new double[] {1, 0}), 0);
  }

  @Test
  void lastLayerGaussNewtonIsIdentityTimesInputFactor() {
    Backbone net = everyLayer(0.1f, 20);
    DualOracle oracle = new DualOracle(net);
    List<double[]> images =
        List.of(normal(net.input().shape().size(), 21), normal(net.input().shape().size(), 22));
    assertFactorsGiveTheGaussNewtonBlock(net, oracle, images, "fc", false);
    assertFactorsGiveTheGaussNewtonBlock(net, oracle, images, "fc", true);
  }

  @Test
  void reduceIsExactForConvolutionGapLinear() {
    List<Node> nodes =
        List.of(
            new Node("conv", new Layer.Conv2d(2, 4, 3, 3, 1, 1), "input"),
            new Node("gap", new Layer.GlobalAvgPool(), "conv"),
            new Node("fc", new Layer.Linear(4, CLASSES), "gap"));
    int count = ParameterBlock.layout(nodes).get(1).end();
    double[] weights = normal(count, 23);
    float[] w0 = new float[count];
    for (int i = 0; i < count; i++) {
      w0[i] = (float) weights[i];
    }
    Backbone net =
        new Backbone("reduce", InputSpec.raw(2, 5, 4), nodes, "fc", "conv", List.of(), w0);
    List<double[]> images = List.of(normal(40, 24), normal(40, 25), normal(40, 26));
    assertFactorsGiveTheGaussNewtonBlock(net, new DualOracle(net), images, "conv", true);
  }

  /** Γ ⊗ A against (1/N) Σ J_blockᵀ J_block, entry by entry, biases included. */
  private static void assertFactorsGiveTheGaussNewtonBlock(
      Backbone net, DualOracle oracle, List<double[]> images, String node, boolean reduce) {
    ParameterBlock block =
        net.blocks().stream().filter(b -> b.node().equals(node)).findFirst().orElseThrow();
    double[][] a = oracle.inputFactor(images, node, reduce);
    double[][] gamma = oracle.outputFactor(images, node, reduce);
    List<double[][]> jacobians = images.stream().map(oracle::jacobian).toList();
    int side = block.in() + 1;
    for (int p = 0; p < block.size(); p++) {
      for (int q = 0; q < block.size(); q++) {
        double exact = 0;
        for (double[][] rows : jacobians) {
          for (double[] row : rows) {
            exact += row[index(block, p)] * row[index(block, q)] / images.size();
          }
        }
        double kronecker = gamma[p / side][q / side] * a[p % side][q % side];
        assertEquals(exact, kronecker, 1e-12, "entry " + p + ", " + q);
      }
    }
  }

  /** Place in the parameter vector of entry p of vec([W b]), row-major [out, in+1]. */
  private static int index(ParameterBlock block, int p) {
    int side = block.in() + 1;
    int o = p / side;
    int i = p % side;
    return i < block.in() ? block.weightOffset() + o * block.in() + i : block.biasOffset() + o;
  }
}
