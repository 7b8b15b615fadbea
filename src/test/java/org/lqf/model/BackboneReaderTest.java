package org.lqf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.testing.SharedData;

class BackboneReaderTest {

  /** A network of [1,3,3] → conv 2×(1,1) → batch norm → ReLU → pool → 2 classes. */
  private static final String GRAPH =
      """
      {"format": "lqf-backbone-graph/1", "name": "small", "weights": "small.safetensors",
       "input": {"channels": 1, "height": 3, "width": 3, "color": "gray",
                 "scale": "(x/255 - mean)/std", "mean": [0.5], "std": [0.25]},
       "output": "fc", "feature_node": "act", "classes": 2, "class_names": ["yes", "no"],
       "note": "unknown keys out here say nothing about the meaning",
       "nodes": [
        {"name": "conv", "op": "conv2d", "inputs": ["input"], "in_channels": 1, "out_channels": 2,
         "kernel": 1, "stride": 1, "padding": 0, "bias": false},
        {"name": "bn", "op": "batchnorm2d", "inputs": ["conv"], "channels": 2, "eps": 0.25},
        {"name": "act", "op": "leaky_relu", "inputs": ["bn"], "negative_slope": 0.0},
        {"name": "gap", "op": "global_avgpool", "inputs": ["act"]},
        {"name": "fc", "op": "linear", "inputs": ["gap"], "in_features": 2, "out_features": 2,
         "bias": true}]}
      """;

  @TempDir Path folder;
  private final Map<String, Tensor> tensors = new HashMap<>();

  @BeforeEach
  void fillTensors() {
    tensors.put("conv.weight", Tensor.of(new float[] {2, 4}, 2, 1, 1, 1));
    tensors.put("bn.weight", Tensor.of(new float[] {6, -2}));
    tensors.put("bn.bias", Tensor.of(new float[] {0.5f, 7}));
    tensors.put("bn.running_mean", Tensor.of(new float[] {1, 2}));
    tensors.put("bn.running_var", Tensor.of(new float[] {3.75f, 15.75f}));
    tensors.put("fc.weight", Tensor.of(new float[] {1, 2, 3, 4}, 2, 2));
    tensors.put("fc.bias", Tensor.of(new float[] {5, 6}));
  }

  private Backbone read(String graph) throws IOException {
    new Safetensors(Map.of(), tensors).write(folder.resolve("small.safetensors"));
    Path json = folder.resolve("small.json");
    Files.writeString(json, graph);
    return Backbone.read(json);
  }

  /** The graph with one change is refused by the file's name and every one of the texts. */
  private void refuses(String from, String to, String... texts) {
    assertTrue(GRAPH.contains(from), from);
    String message =
        assertThrows(IOException.class, () -> read(GRAPH.replace(from, to))).getMessage();
    assertTrue(message.contains("small.json: "), message);
    for (String text : texts) {
      assertTrue(message.contains(text), () -> "\"" + text + "\" is not in: " + message);
    }
  }

  @Test
  void batchNormIsFoldedIntoTheConvolutionBefore() throws IOException {
    Backbone backbone = read(GRAPH);
    assertEquals(
        List.of("conv", "act", "gap", "fc"), backbone.nodes().stream().map(Node::name).toList());
    assertEquals(List.of("conv"), backbone.nodes().get(1).inputs());
    // σ = 2 and 4, γ/σ = 3 and −0.5; b' = β − γ·mean/σ
    assertArrayEquals(new float[] {6, -2, 0.5f - 3, 7 + 1, 1, 2, 3, 4, 5, 6}, backbone.w0());
    assertEquals(List.of("yes", "no"), backbone.classNames());
    assertEquals(new InputSpec(1, 3, 3, new float[] {0.5f}, new float[] {0.25f}), backbone.input());
  }

  @Test
  void aFoldedFeatureNodeOrOutputIsFoundAtItsConvolution() throws IOException {
    Backbone backbone =
        read(GRAPH.replace("\"feature_node\": \"act\"", "\"feature_node\": \"bn\""));
    assertEquals("conv", backbone.featureNode());
  }

  @Test
  void kernelsAndStridesMayBeWrittenAsPairs() throws IOException {
    tensors.put("conv.weight", Tensor.of(new float[12], 2, 1, 2, 3));
    Backbone backbone =
        read(
            GRAPH
                .replace("\"kernel\": 1, \"stride\": 1", "\"kernel\": [2, 3], \"stride\": [2, 2]")
                .replace("\"padding\": 0", "\"padding\": 0, \"groups\": 1, \"dilation\": 1"));
    assertEquals(new Layer.Conv2d(1, 2, 2, 3, 2, 0), backbone.nodes().get(0).layer());
  }

  @Test
  void anUnnormalisedInputNeedsNoMean() throws IOException {
    Backbone backbone =
        read(
            GRAPH.replace(
                "\"(x/255 - mean)/std\", \"mean\": [0.5], \"std\": [0.25]", "\"x/255 (as is)\""));
    assertEquals(InputSpec.raw(1, 3, 3), backbone.input());
  }

  @Test
  void refusesWhatItWouldHaveToGuess() {
    refuses("leaky_relu", "gelu", "gelu \"act\" (node 2)", "unknown op", "leaky_relu, maxpool2d");
    refuses("\"padding\": 0", "\"padding\": 0, \"groups\": 2", "(node 0)", "groups 2", "is 1");
    refuses("\"padding\": 0", "\"padding\": 0, \"dilation\": 2", "dilation 2 is not supported");
    refuses("\"padding\": 0", "\"padding\": 0, \"twist\": 2", "unknown attribute \"twist\"");
    refuses("\"padding\": 0", "\"padding\": [0, 1]", "padding [0, 1]", "both directions");
    refuses("\"kernel\": 1", "\"kernel\": 1.5", "kernel must be an integer, got 1.5");
    refuses("\"bias\": false", "\"bias\": 0", "bias must be true or false");
    refuses(", \"bias\": false", "", "attribute \"bias\" is missing");
    refuses("\"negative_slope\": 0.0", "\"negative_slope\": -1", "at least 0, got -1.0");
    refuses("\"negative_slope\": 0.0", "\"negative_slope\": \"x\"", "must be a number");
    refuses("graph/1", "graph/2", "expected format \"lqf-backbone-graph/1\"");
    refuses("\"gray\"", "\"BGR\"", "color", "\"BGR\"");
    refuses("(x/255 - mean)/std", "x/127.5 - 1", "scale \"x/127.5 - 1\"");
    refuses("\"std\": [0.25]", "\"std\": [0.0]", "std 0.0");
    refuses("\"mean\": [0.5], ", "", "\"mean\": expected a list, got nothing");
    refuses("\"height\": 3", "\"height\": \"3\"", "\"height\": expected an integer, got \"3\"");
  }

  @Test
  void refusesAGraphThatDoesNotHangTogether() {
    refuses(
        "\"inputs\": [\"act\"]",
        "\"inputs\": [\"fc\"]",
        "\"gap\" (node 3)",
        "\"fc\" is no earlier");
    refuses("\"inputs\": [\"act\"]", "\"inputs\": []", "\"gap\" (node 3)", "no list of inputs");
    refuses("\"inputs\": [\"act\"]", "\"inputs\": [7]", "must be names, got 7");
    refuses("\"name\": \"gap\"", "\"name\": \"act\"", "\"act\" (node 3)", "must be unique");
    refuses("\"name\": \"gap\", ", "", "node 3 has no name");
    refuses("\"output\": \"fc\"", "\"output\": \"gap\"", "\"fc\" does not lead to");
    refuses("\"output\": \"fc\"", "\"output\": \"none\"", "output \"none\"");
    refuses("\"feature_node\": \"act\"", "\"feature_node\": \"x\"", "feature node \"x\"");
    refuses("\"classes\": 2", "\"classes\": 10", "classes is 10", "[2,1,1]");
    refuses("[\"yes\", \"no\"]", "[\"yes\"]", "1 class names", "[2,1,1]");
    refuses("[\"yes\", \"no\"]", "[\"yes\", 2]", "class_names", "got 2");
    refuses("\"nodes\": [", "\"nodes\": [7, ", "node 0 has no name");
    refuses("\"small.safetensors\"", "\"../small.safetensors\"", "beside this one");
  }

  @Test
  void refusesABatchNormThatCannotBeFolded() {
    refuses("[\"conv\"], \"channels\"", "[\"input\"], \"channels\"", "\"bn\" (node 1)", "[input]");
    refuses("[\"conv\"], \"channels\"", "[\"conv\", \"conv\"], \"channels\"", "cannot be folded");
    refuses("\"feature_node\": \"act\"", "\"feature_node\": \"conv\"", "\"conv\" is also used");
    refuses("\"channels\": 2", "\"channels\": 3", "3 channels but \"conv\" gives 2");
    tensors.put("bn.running_var", Tensor.of(new float[] {1, -1}));
    refuses("small", "small", "\"bn\" (node 1)", "channel 1: running_var -1.0");
  }

  @Test
  void refusesWeightsOfAnotherNetwork() {
    tensors.put("extra.weight", Tensor.of(new float[1]));
    refuses("small", "small", "no node uses: [extra.weight]", "is this the graph of");
    tensors.remove("extra.weight");
    tensors.put("conv.bias", Tensor.of(new float[2]));
    refuses("small", "small", "no node uses: [conv.bias]"); // the graph says bias: false
    tensors.remove("conv.bias");
    tensors.put("fc.weight", Tensor.of(new float[4], 4, 1));
    refuses("small", "small", "\"fc\" (node 4)", "[2, 2]", "F32 [4,1]");
    tensors.put("fc.weight", Tensor.of(new float[] {1, 2, Float.NaN, 4}, 2, 2));
    refuses("small", "small", "\"fc\"", "parameter 2 of 6 is NaN");
    tensors.put("fc.weight", Tensor.of(new double[] {1, 2, 1e300, 4}, 2, 2));
    refuses("small", "small", "\"fc\"", "Infinity"); // too large for a float
    tensors.remove("fc.weight");
    refuses("small", "small", "no tensor \"fc.weight\"");
  }

  @Test
  void refusesFilesThatAreNotThereOrNotJson() throws IOException {
    Path json = folder.resolve("small.json");
    assertThrows(NoSuchFileException.class, () -> Backbone.read(json));
    Files.writeString(json, GRAPH);
    IOException missing = assertThrows(NoSuchFileException.class, () -> Backbone.read(json));
    assertTrue(missing.getMessage().endsWith("small.safetensors"), missing.getMessage());
    for (String text :
        List.of("", "[]", "7", GRAPH.substring(0, 200), GRAPH + "x", "{\"a\":1,\"a\":2}")) {
      String message = assertThrows(IOException.class, () -> read(text), text).getMessage();
      assertTrue(message.contains("small.json"), message);
    }
  }

  @Test
  void readsWhatItWrites() throws IOException {
    Backbone backbone = read(GRAPH);
    Path copy = folder.resolve("copy.json");
    backbone.write(copy);
    Backbone again = Backbone.read(copy);
    assertEquals(backbone.digest(), again.digest());
    assertEquals(backbone.classNames(), again.classNames());
    assertEquals(backbone.name(), again.name());
    byte[] json = Files.readAllBytes(copy);
    byte[] weights = Files.readAllBytes(folder.resolve("copy.safetensors"));
    again.write(copy);
    assertArrayEquals(json, Files.readAllBytes(copy));
    assertArrayEquals(weights, Files.readAllBytes(folder.resolve("copy.safetensors")));
  }

  @Test
  void everyKindOfLayerSurvivesWritingAndReading() throws IOException {
    List<Node> nodes =
        List.of(
            new Node("conv", new Layer.Conv2d(3, 4, 3, 2, 2, 1), "input"),
            new Node("act", new Layer.LeakyRelu(0.1f), "conv"),
            new Node("max", new Layer.MaxPool2d(3, 2, 1), "act"),
            new Node("avg", new Layer.AvgPool2d(3, 2, 1), "act"),
            new Node("sum", new Layer.Add(), List.of("max", "avg")),
            new Node("short", new Layer.SubsamplePadChannels(2, 1, 0), "sum"),
            new Node("gap", new Layer.GlobalAvgPool(), "short"),
            new Node("fc", new Layer.Linear(5, 2), "gap"));
    float[] w0 = new float[ParameterBlock.layout(nodes).get(1).end()];
    for (int i = 0; i < w0.length; i++) {
      w0[i] = 1f / (i + 1);
    }
    InputSpec input =
        new InputSpec(3, 17, 19, new float[] {0.485f, 0.1f, 0}, new float[] {0.229f, 3e-7f, 1e9f});
    Backbone all = new Backbone("all", input, nodes, "fc", "short", List.of(), w0);
    all.write(folder.resolve("all.json"));
    Backbone again = Backbone.read(folder.resolve("all.json"));
    assertEquals(nodes, again.nodes());
    assertEquals(input, again.input());
    assertArrayEquals(w0, again.w0());
  }

  @Test
  void aPairThatDoesNotBelongTogetherIsRefused() throws IOException {
    Backbone backbone = read(GRAPH);
    Path copy = folder.resolve("copy.json");
    backbone.write(copy);
    float[] other = backbone.w0();
    other[3] += 1;
    backbone.withW0(other).write(folder.resolve("other.json"));
    Files.copy(
        folder.resolve("other.safetensors"),
        folder.resolve("copy.safetensors"),
        StandardCopyOption.REPLACE_EXISTING);
    String message = assertThrows(IOException.class, () -> Backbone.read(copy)).getMessage();
    assertTrue(message.contains("one of the two files was changed"), message);
  }

  @Test
  void refusesToWriteWhatCannotBeReadBack() throws IOException {
    Backbone backbone = read(GRAPH);
    LayerTest.refuses(() -> backbone.write(folder.resolve("net.lqf")), "must end in .json");
    Node act = new Node("act", new Layer.LeakyRelu(0), "input");
    Backbone vector =
        new Backbone(
            "v", InputSpec.raw(7, 1, 1), List.of(act), "act", "act", List.of(), new float[0]);
    LayerTest.refuses(() -> vector.write(folder.resolve("v.json")), "1 (gray) or 3 (RGB)", "has 7");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "backbones/resnet20-cifar10-leaky0.1",
        "backbones/resnet20-cifar10-relu",
        "backbones/resnet20-leaky0.1-own",
        "backbones/resnet32-cifar10-relu",
        "backbones/resnet44-cifar10-relu",
        "backbones/resnet56-cifar10-relu",
        "backbones/tiny-darknet-imagenet",
        "tiny/resnet8-fashion5-leaky0.1"
      })
  void sharedNetworksLoadWithTheParametersTheyClaimLessTheFoldedScales(String name)
      throws IOException {
    Path json = SharedData.require(name + ".json");
    Backbone backbone = Backbone.read(json);
    JsonNode graph = Json.MAPPER.readTree(Files.readAllBytes(json));
    assertEquals(graph.get("classes").intValue(), backbone.outputShape().size());
    int scales = 0;
    for (JsonNode node : graph.get("nodes")) {
      scales +=
          node.path("channels").intValue(); // of a batch norm: γ is folded, β becomes the bias
    }
    assertTrue(scales > 0);
    if (graph.has("parameters")) {
      assertEquals(graph.get("parameters").longValue(), backbone.parameters() + scales);
    }
    assertEquals(
        graph.get("feature_channels").intValue(), backbone.cutAtFeatures().outputShape().size());
  }

  @ParameterizedTest
  @CsvSource({
    "test-data/resnet20-leaky0.1-own/resnet20-leaky0.1-own.json, 271690, "
        + "81e9b6074f0a882841f3fdb95c7c14aca90031de4bb2aa82093047bc46a27ada",
    "test-data/tiny/resnet8-fashion5-leaky0.1.json, 74437, "
        + "64d6fc9611cbc85799029d47cdfd011481b213c856a89cfe34b3f4f8fcc52b4c"
  })
  void shippedNetworksHaveTheDigestTheyHadWhenTheyWereShipped(Path json, long count, String digest)
      throws IOException {
    Backbone backbone = Backbone.read(json);
    assertEquals(count, backbone.parameters());
    assertEquals(digest, backbone.digest());
  }
}
