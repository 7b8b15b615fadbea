package org.lqf.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;

/**
 * Reads a graph JSON ("lqf-backbone-graph/1") and its weights; folds each batch norm into the
 * conv2d or linear in front of it, which keeps its name.
 *
 * <p>One pass over the nodes: {@link #read(GraphNode)} adds a {@link Node}, or, for a batch norm,
 * replaces the {@link Affine} of the node before and remembers under which name its value is now
 * found. For a {@link TrainableNetwork} batch norms stay, and their running statistics are kept.
 */
final class BackboneReader {

  static final String FORMAT = "lqf-backbone-graph/1";
  private static final long MAX_JSON = 64L << 20; // bytes; a graph of 200 nodes takes 32 kB

  private final boolean folding;
  private final Safetensors weights;
  private final Map<String, Integer> consumers;
  private final Set<String> unused;
  private final Set<String> names = new HashSet<>(Set.of(Node.INPUT)); // read so far
  private final List<Node> nodes = new ArrayList<>();
  private final Map<String, Affine> affines = new HashMap<>(); // by node
  private final Map<String, String> folded = new HashMap<>(); // batch norm → conv2d, linear
  private final List<double[]> statistics = new ArrayList<>(); // of batch norms that stay

  private BackboneReader(boolean folding, Safetensors weights, Map<String, Integer> consumers) {
    this.folding = folding;
    this.weights = weights;
    this.consumers = consumers;
    this.unused = new HashSet<>(weights.tensors().keySet());
  }

  static Backbone read(Path file) throws IOException {
    return read(file, BackboneReader::fold);
  }

  static TrainableNetwork readTrainable(Path file) throws IOException {
    return read(file, BackboneReader::keep);
  }

  private static <T> T read(Path file, BiFunction<JsonNode, Safetensors, T> builder)
      throws IOException {
    if (Files.size(file) > MAX_JSON) {
      throw new IOException(
          "%s has %d bytes; a graph JSON has at most %d"
              .formatted(file, Files.size(file), MAX_JSON));
    }
    try {
      JsonNode json = Json.MAPPER.readTree(Files.readAllBytes(file));
      String format = Json.text(json, "format");
      if (!format.equals(FORMAT)) {
        throw new IllegalArgumentException(
            "expected format \"%s\", got \"%s\"; is this a network graph?"
                .formatted(FORMAT, format));
      }
      String weights = Json.text(json, "weights");
      if (weights.contains("/") || weights.contains("\\")) {
        throw new IllegalArgumentException(
            "weights: expected the name of a file beside this one, got \"%s\"".formatted(weights));
      }
      return builder.apply(json, Safetensors.read(file.resolveSibling(weights)));
    } catch (JsonProcessingException e) {
      throw new IOException(file + " is not valid JSON: " + e.getOriginalMessage(), e);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + ": " + e.getMessage(), e);
    }
  }

  /** The network with batch norm folded. */
  static Backbone fold(JsonNode json, Safetensors weights) {
    BackboneReader reader = of(json, weights, true);
    Backbone backbone = reader.backbone(json);
    checkClaims(json, backbone);
    return backbone;
  }

  /** The network with its batch norms. */
  private static TrainableNetwork keep(JsonNode json, Safetensors weights) {
    BackboneReader reader = of(json, weights, false);
    TrainableNetwork network = new TrainableNetwork(reader.backbone(json), reader.statistics());
    checkClaims(json, network.folded());
    return network;
  }

  private static BackboneReader of(JsonNode json, Safetensors weights, boolean folding) {
    List<GraphNode> graph = new ArrayList<>();
    for (JsonNode node : Json.array(json, "nodes")) {
      graph.add(new GraphNode(node, graph.size()));
    }
    Map<String, Integer> consumers = new HashMap<>();
    for (GraphNode node : graph) {
      node.inputs().forEach(name -> consumers.merge(name, 1, Integer::sum));
    }
    consumers.merge(Json.text(json, "output"), 1, Integer::sum);
    consumers.merge(Json.text(json, "feature_node"), 1, Integer::sum);

    BackboneReader reader = new BackboneReader(folding, weights, consumers);
    graph.forEach(reader::read);
    reader.checkAllUsed();
    return reader;
  }

  private Backbone backbone(JsonNode json) {
    return new Backbone(
        Json.text(json, "name"),
        input(json.path("input")),
        nodes,
        resolve(Json.text(json, "output")),
        resolve(Json.text(json, "feature_node")),
        classNames(json),
        parameters());
  }

  private void read(GraphNode node) {
    try {
      for (String input : node.inputs()) {
        if (!names.contains(input)) {
          throw new IllegalArgumentException(
              ("its input \"%s\" is no earlier node; "
                      + "nodes must be in execution order, without cycles")
                  .formatted(input));
        }
      }
      if (!names.add(node.name())) {
        throw new IllegalArgumentException("another node has this name; it must be unique");
      }
      if (node.op().equals("batchnorm2d") && folding) {
        fold(node);
      } else {
        Layer layer = layer(node);
        nodes.add(new Node(node.name(), layer, node.inputs().stream().map(this::resolve).toList()));
      }
      node.finish();
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(node.where() + e.getMessage(), e);
    }
  }

  private Layer layer(GraphNode node) {
    switch (node.op()) {
      case "conv2d" -> {
        int[] kernel = node.pair("kernel");
        Layer.Conv2d conv =
            new Layer.Conv2d(
                node.integer("in_channels"),
                node.integer("out_channels"),
                kernel[0],
                kernel[1],
                node.square("stride", 1),
                node.square("padding", 0));
        readAffine(node, conv.outChannels(), conv.inChannels(), kernel[0], kernel[1]);
        return conv;
      }
      case "linear" -> {
        Layer.Linear linear =
            new Layer.Linear(node.integer("in_features"), node.integer("out_features"));
        readAffine(node, linear.outFeatures(), linear.inFeatures());
        return linear;
      }
      case "batchnorm2d" -> {
        return readNorm(node);
      }
      case "leaky_relu" -> {
        return new Layer.LeakyRelu((float) node.number("negative_slope"));
      }
      case "maxpool2d" -> {
        int kernel = node.square("kernel");
        return new Layer.MaxPool2d(
            kernel, node.square("stride", kernel), node.square("padding", 0));
      }
      case "avgpool2d" -> {
        int kernel = node.square("kernel");
        return new Layer.AvgPool2d(
            kernel, node.square("stride", kernel), node.square("padding", 0));
      }
      case "global_avgpool" -> {
        return new Layer.GlobalAvgPool();
      }
      case "add" -> {
        return new Layer.Add();
      }
      case "subsample_pad_channels" -> {
        return new Layer.SubsamplePadChannels(
            node.square("stride"), node.integer("pad_before", 0), node.integer("pad_after", 0));
      }
      default ->
          throw new IllegalArgumentException(
              "unknown op; supported are conv2d, batchnorm2d, linear, leaky_relu, maxpool2d, "
                  + "avgpool2d, global_avgpool, add, subsample_pad_channels");
    }
  }

  private void readAffine(GraphNode node, long... shape) {
    double[] weight = tensor(node, "weight", shape);
    double[] bias = node.flag("bias") ? tensor(node, "bias", shape[0]) : new double[(int) shape[0]];
    affines.put(node.name(), new Affine(weight, bias));
  }

  private Layer readNorm(GraphNode node) {
    Affine before = affines.get(node.inputs().get(0));
    int channels =
        before == null ? node.integer("channels") : node.integer("channels", before.bias().length);
    affines.put(
        node.name(), new Affine(tensor(node, "weight", channels), tensor(node, "bias", channels)));
    statistics.add(tensor(node, "running_mean", channels));
    statistics.add(tensor(node, "running_var", channels));
    unused.remove(node.name() + ".num_batches_tracked");
    return new Layer.BatchNorm2d(channels, node.number("eps"));
  }

  private float[] statistics() {
    double[] all = statistics.stream().flatMapToDouble(Arrays::stream).toArray();
    float[] rounded = new float[all.length];
    for (int i = 0; i < all.length; i++) {
      rounded[i] = (float) all[i];
    }
    return rounded;
  }

  private void fold(GraphNode node) {
    String source = node.inputs().get(0);
    String target = resolve(source);
    Affine before = affines.get(target);
    if (before == null || node.inputs().size() != 1) {
      throw new IllegalArgumentException(
          "cannot be folded: its only input must be a conv2d or linear, got %s"
              .formatted(node.inputs()));
    }
    if (consumers.getOrDefault(source, 0) != 1) {
      throw new IllegalArgumentException(
          "cannot be folded: \"%s\" is also used elsewhere, as an input, output or feature node"
              .formatted(source));
    }
    int channels = node.integer("channels", before.bias().length);
    if (channels != before.bias().length) {
      throw new IllegalArgumentException(
          "has %d channels but \"%s\" gives %d".formatted(channels, source, before.bias().length));
    }
    affines.put(
        target,
        before.fold(
            tensor(node, "weight", channels),
            tensor(node, "bias", channels),
            tensor(node, "running_mean", channels),
            tensor(node, "running_var", channels),
            node.number("eps")));
    unused.remove(node.name() + ".num_batches_tracked"); // PyTorch's counter: no meaning here
    folded.put(node.name(), target);
  }

  private double[] tensor(GraphNode node, String suffix, long... shape) {
    String name = node.name() + "." + suffix;
    Tensor tensor = weights.tensors().get(name);
    if (tensor == null) {
      throw new IllegalArgumentException(
          "the weights file has no tensor \"%s\"; is this the graph of these weights?"
              .formatted(name));
    }
    if (!tensor.shape().equals(Arrays.stream(shape).boxed().toList())) {
      throw new IllegalArgumentException(
          "expected \"%s\" %s, the weights file has %s; is this the graph of these weights?"
              .formatted(name, Arrays.toString(shape), tensor));
    }
    unused.remove(name);
    return tensor.doubles();
  }

  private String resolve(String name) {
    return folded.getOrDefault(name, name);
  }

  private void checkAllUsed() {
    if (!unused.isEmpty()) {
      throw new IllegalArgumentException(
          "the weights file has tensors that no node uses: %s; is this the graph of these weights?"
              .formatted(unused.stream().sorted().limit(5).toList()));
    }
  }

  private float[] parameters() {
    List<ParameterBlock> blocks = ParameterBlock.layout(nodes);
    float[] w0 = new float[blocks.isEmpty() ? 0 : blocks.get(blocks.size() - 1).end()];
    for (ParameterBlock block : blocks) {
      Affine affine = affines.get(block.node());
      if (affine == null) {
        throw new IllegalStateException("no weights were read for " + block);
      }
      affine.store(block, w0);
    }
    return w0;
  }

  private static InputSpec input(JsonNode json) {
    int channels = Json.integer(json, "channels");
    String color = Json.text(json, "color");
    if (!(channels == 3 && color.equals("RGB")) && !(channels == 1 && color.equals("gray"))) {
      throw new IllegalArgumentException(
          "input: expected 3 channels of color \"RGB\" or 1 of \"gray\", got %d of \"%s\""
              .formatted(channels, color));
    }
    int height = Json.integer(json, "height");
    int width = Json.integer(json, "width");
    String scale = Json.text(json, "scale");
    if (scale.equals("(x/255 - mean)/std")) {
      return new InputSpec(
          channels, height, width, Json.floats(json, "mean"), Json.floats(json, "std"));
    } else if (scale.startsWith("x/255") && !json.has("mean") && !json.has("std")) {
      return InputSpec.raw(channels, height, width);
    }
    throw new IllegalArgumentException(
        ("input: scale \"%s\" is not supported; "
                + "supported are \"(x/255 - mean)/std\" with mean and std, and \"x/255\" without")
            .formatted(scale));
  }

  private static List<String> classNames(JsonNode json) {
    List<String> names = new ArrayList<>();
    if (json.has("class_names")) {
      for (JsonNode className : Json.array(json, "class_names")) {
        if (!className.isTextual()) {
          throw new IllegalArgumentException("class_names: expected texts, got " + className);
        }
        names.add(className.textValue());
      }
    }
    return names;
  }

  /** Compares what the file says about itself, where it says so. */
  private static void checkClaims(JsonNode json, Backbone backbone) {
    int classes = backbone.outputShape().size();
    if (json.has("classes") && Json.integer(json, "classes") != classes) {
      throw new IllegalArgumentException(
          "classes is %s but output \"%s\" is %s"
              .formatted(json.get("classes"), backbone.output(), backbone.outputShape()));
    }
    if (json.has("digest") && !Json.text(json, "digest").equals(backbone.digest())) {
      throw new IllegalArgumentException(
          "digest is %s but graph and weights give %s; one of the two files was changed or replaced"
              .formatted(Json.text(json, "digest"), backbone.digest()));
    }
  }
}
