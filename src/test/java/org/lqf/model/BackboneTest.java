package org.lqf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.lqf.model.LayerTest.refuses;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class BackboneTest {

  private static final Node CONV = new Node("conv", new Layer.Conv2d(3, 2, 2, 1, 1, 0), "input");
  private static final Node ACT = new Node("act", new Layer.LeakyRelu(0.1f), "conv");
  private static final Node GAP = new Node("pool", new Layer.GlobalAvgPool(), "act");
  private static final Node FC = new Node("fc", new Layer.Linear(2, 3), "pool");
  private static final List<Node> NODES = List.of(CONV, ACT, GAP, FC);
  private static final List<String> CLASSES = List.of("cat", "dog", "eel");

  private static Backbone small() {
    return backbone(NODES, "fc", "act", CLASSES, counted(23));
  }

  private static Backbone backbone(
      List<Node> nodes, String output, String features, List<String> classes, float[] w0) {
    return new Backbone("small", InputSpec.raw(3, 4, 5), nodes, output, features, classes, w0);
  }

  /** 0, 1, 2, … */
  private static float[] counted(int length) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = i;
    }
    return values;
  }

  @Test
  void parametersLieInNodeOrderWeightsThenBias() {
    assertEquals(
        List.of(new ParameterBlock("conv", 2, 6, 0, 12), new ParameterBlock("fc", 3, 2, 14, 20)),
        small().blocks());
    assertEquals(23, small().parameters());
    assertEquals(14, small().blocks().get(0).size());
    assertEquals(23, small().blocks().get(1).end());
  }

  @Test
  void shapesBeginWithTheInputAndFollowTheNodes() {
    assertEquals(
        List.of("input", "conv", "act", "pool", "fc"), List.copyOf(small().shapes().keySet()));
    assertEquals(new Shape(2, 3, 5), small().shapes().get("act"));
    assertEquals(new Shape(3, 1, 1), small().outputShape());
  }

  @Test
  void arraysAreCopiedInAndOut() {
    float[] w0 = counted(23);
    Backbone backbone = backbone(NODES, "fc", "act", CLASSES, w0);
    w0[0] = 99;
    backbone.w0()[1] = 99;
    assertArrayEquals(counted(23), backbone.w0());

    float[] mean = {1, 2, 3};
    InputSpec input = new InputSpec(3, 4, 5, mean, new float[] {1, 1, 1});
    mean[0] = 99;
    input.mean()[1] = 99;
    input.std()[1] = 99;
    assertEquals(new InputSpec(3, 4, 5, new float[] {1, 2, 3}, new float[] {1, 1, 1}), input);
  }

  @Test
  void digestIsThatOfTheDocumentedBytes() throws Exception {
    String text =
        """
        lqf-backbone-digest/1
        input 3 4 5 mean 00000000 00000000 00000000 std 3f800000 3f800000 3f800000
        node conv conv2d 3 2 2 1 1 0 from input
        node act leaky_relu 3dcccccd from conv
        node pool global_avgpool from act
        node fc linear 2 3 from pool
        output fc
        features act
        parameters 23
        """;
    MessageDigest sha = MessageDigest.getInstance("SHA-256");
    sha.update(text.getBytes(StandardCharsets.UTF_8));
    ByteBuffer bytes = ByteBuffer.allocate(4 * 23).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(counted(23));
    sha.update(bytes);
    assertEquals(HexFormat.of().formatHex(sha.digest()), small().digest());
  }

  @Test
  void digestChangesWithEverythingThatIsComputedAndWithNothingElse() {
    float[] oneBit = counted(23);
    oneBit[22] = Math.nextUp(oneBit[22]);
    Node stride = new Node("conv", new Layer.Conv2d(3, 2, 2, 1, 2, 0), "input");
    Node slope = new Node("act", new Layer.LeakyRelu(Math.nextUp(0.1f)), "conv");
    float[] ones = {1, 1, 1};
    InputSpec shifted = new InputSpec(3, 4, 5, new float[] {0, 0, 0.5f}, ones);
    List<Backbone> different =
        List.of(
            small(),
            small().withW0(oneBit),
            small().withInputSize(5, 4),
            backbone(List.of(stride, ACT, GAP, FC), "fc", "act", CLASSES, counted(23)),
            backbone(List.of(CONV, slope, GAP, FC), "fc", "act", CLASSES, counted(23)),
            backbone(NODES, "fc", "conv", CLASSES, counted(23)),
            new Backbone("small", shifted, NODES, "fc", "act", CLASSES, counted(23)));
    Set<String> digests = different.stream().map(Backbone::digest).collect(Collectors.toSet());
    assertEquals(different.size(), digests.size());

    Backbone renamed =
        new Backbone("other", InputSpec.raw(3, 4, 5), NODES, "fc", "act", List.of(), counted(23));
    assertEquals(small().digest(), renamed.digest());
  }

  @Test
  void withInputSizeKeepsTheParametersAndMovesTheShapes() {
    Backbone larger = small().withInputSize(40, 50);
    assertEquals(new Shape(2, 39, 50), larger.shapes().get("act"));
    assertArrayEquals(small().w0(), larger.w0());
    assertEquals(CLASSES, larger.classNames());
  }

  @Test
  void withInputSizeIsRefusedWhereALinearLayerSeesPixels() {
    Node flat = new Node("flat", new Layer.Linear(60, 2), "input");
    Backbone pixels = backbone(List.of(flat), "flat", "input", List.of(), counted(122));
    refuses(() -> pixels.withInputSize(4, 6), "linear \"flat\" (node 0)", "[2,60]", "72 values");
    refuses(() -> small().withInputSize(1, 5), "conv2d \"conv\" (node 0)", "larger input size");
  }

  @Test
  void cutAtFeaturesKeepsTheBodyAndPools() {
    Backbone cut = small().cutAtFeatures();
    assertEquals(
        List.of(CONV, ACT, new Node("gap", new Layer.GlobalAvgPool(), "act")), cut.nodes());
    assertEquals("gap", cut.output());
    assertEquals(new Shape(2, 1, 1), cut.outputShape());
    assertEquals(List.of(), cut.classNames());
    assertArrayEquals(counted(14), cut.w0());
    assertEquals(cut.digest(), cut.cutAtFeatures().digest());
  }

  @Test
  void cutDropsABranchThatOnlyTheHeadUses() {
    Node side = new Node("side", new Layer.Conv2d(3, 2, 2, 1, 1, 0), "input");
    Node sum = new Node("sum", new Layer.Add(), List.of("side", "act"));
    Backbone branched =
        backbone(List.of(side, CONV, ACT, sum), "sum", "act", List.of(), counted(28));
    Backbone cut = branched.cutAtFeatures();
    assertEquals(List.of("conv", "act", "gap"), cut.nodes().stream().map(Node::name).toList());
    assertArrayEquals(Arrays.copyOfRange(counted(28), 14, 28), cut.w0());
  }

  @Test
  void withHeadReplacesEverythingBehindTheFeatures() {
    Backbone headed =
        small().withHead(new float[] {1, 2, 3, 4}, new float[] {5, 6}, List.of("a", "b"));
    assertEquals("head", headed.output());
    assertEquals(List.of("a", "b"), headed.classNames());
    assertEquals(new ParameterBlock("head", 2, 2, 14, 18), headed.blocks().get(1));
    float[] expected = Arrays.copyOf(counted(14), 20);
    System.arraycopy(new float[] {1, 2, 3, 4, 5, 6}, 0, expected, 14, 6);
    assertArrayEquals(expected, headed.w0());
    // a head can be replaced again
    Backbone again = headed.withHead(new float[] {0, 0}, new float[] {0}, List.of());
    assertEquals(new Shape(1, 1, 1), again.outputShape());
  }

  @Test
  void withHeadRefusesWhatDoesNotFitTheFeatures() {
    refuses(
        () -> small().withHead(new float[5], new float[2], List.of()),
        "[2,2] weights",
        "2 features of \"act\"",
        "got 5");
    refuses(() -> small().withHead(new float[0], new float[0], List.of()), "head", "0 biases");
    refuses(
        () -> small().withHead(new float[4], new float[2], List.of("only one")), "1 class names");
    refuses(
        () -> small().withHead(new float[] {1, 2, 3, Float.NaN}, new float[2], List.of()),
        "\"head\"",
        "parameter 3 of 6 is NaN");
  }

  @Test
  void refusesAGraphThatIsNoneAndNamesTheNode() {
    float[] w0 = counted(23);
    List<Node> reversed = new ArrayList<>(NODES);
    Collections.reverse(reversed);
    refuses(() -> backbone(reversed, "fc", "act", CLASSES, w0), "\"pool\"", "execution order");
    Node loop = new Node("act", new Layer.LeakyRelu(0), "act");
    refuses(
        () -> backbone(List.of(CONV, loop, GAP, FC), "fc", "act", CLASSES, w0),
        "leaky_relu \"act\" (node 1)",
        "\"act\" is no earlier node");
    refuses(
        () -> backbone(List.of(CONV, CONV, ACT, GAP, FC), "fc", "act", CLASSES, w0),
        "conv2d \"conv\" (node 1)",
        "unique");
    refuses(() -> backbone(NODES, "none", "act", CLASSES, w0), "output \"none\"");
    refuses(() -> backbone(NODES, "input", "act", CLASSES, w0), "output \"input\"");
    refuses(() -> backbone(NODES, "fc", "none", CLASSES, w0), "feature node \"none\"");
    refuses(() -> backbone(NODES, "pool", "act", List.of(), w0), "linear \"fc\" does not lead to");
    refuses(() -> backbone(List.of(), "fc", "act", List.of(), w0), "no nodes");
    refuses(() -> backbone(NODES, "fc", "act", List.of("cat"), w0), "1 class names", "[3,1,1]");
    Node wide = new Node("conv", new Layer.Conv2d(64, 128, 3, 3, 1, 1), "input");
    refuses(
        () -> backbone(List.of(wide), "conv", "conv", List.of(), w0),
        "conv2d \"conv\" (node 0): weights [128,64,3,3] but input has 3 channels; "
            + "is this the backbone of the weights file?");
  }

  @Test
  void refusesParametersThatAreMissingOrNotFinite() {
    refuses(
        () -> backbone(NODES, "fc", "act", CLASSES, counted(22)), "expected 23 parameters", "22");
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      float[] w0 = counted(23);
      w0[20] = bad;
      refuses(
          () -> backbone(NODES, "fc", "act", CLASSES, w0), "\"fc\"", "parameter 6 of 9 is " + bad);
    }
  }

  @Test
  void refusesMoreParametersThanAnArrayHolds() {
    Node huge = new Node("huge", new Layer.Linear(Integer.MAX_VALUE, Integer.MAX_VALUE), "input");
    refuses(() -> ParameterBlock.layout(List.of(huge)), "linear \"huge\"", "2^31-1");
    Node deep =
        new Node("deep", new Layer.Conv2d(1 << 30, 1 << 30, 1 << 30, 1 << 30, 1, 0), "input");
    refuses(() -> ParameterBlock.layout(List.of(deep)), "conv2d \"deep\"", "2^31-1");
    Node half = new Node("half", new Layer.Linear(1 << 15, 1 << 15), "input");
    Node rest = new Node("rest", new Layer.Linear(1 << 15, 1 << 15), "half");
    refuses(() -> ParameterBlock.layout(List.of(half, rest)), "linear \"rest\"", "2^31-1");
  }

  @Test
  void refusesNamesThatWouldBlurTheDigest() {
    Layer any = new Layer.Add();
    refuses(() -> new Node("a b", any, "input"), "\"a b\"");
    refuses(() -> new Node("a\nb", any, "input"), "control");
    refuses(() -> new Node("", any, "input"), "\"\"");
    refuses(() -> new Node("input", any, "conv"), "\"input\" is taken");
  }

  @Test
  void refusesANormalisationThatIsNone() {
    float[] ones = {1, 1, 1};
    refuses(() -> new InputSpec(3, 4, 4, new float[2], ones), "2 and 3");
    refuses(() -> new InputSpec(3, 4, 4, ones, new float[] {1, 0, 1}), "channel 1", "std 0.0");
    refuses(() -> new InputSpec(3, 4, 4, new float[] {0, 0, Float.NaN}, ones), "channel 2", "NaN");
    refuses(() -> InputSpec.raw(3, 0, 4), "[3,0,4]");
    assertNotEquals(InputSpec.raw(3, 4, 5), InputSpec.raw(3, 5, 4));
  }
}
