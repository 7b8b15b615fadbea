package org.lqf.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** Writes what {@link BackboneReader} reads; equal networks give equal bytes. */
final class BackboneWriter {

  private BackboneWriter() {}

  static void write(Backbone backbone, Path file) throws IOException {
    write(backbone, backbone.digest(), tensors(backbone), file);
  }

  /** Batch norm is written as it stands; the digest is that of the folded network. */
  static void write(TrainableNetwork network, Path file) throws IOException {
    write(
        network.graph(),
        network.folded().digest(),
        tensors(network.graph(), network.statistics()),
        file);
  }

  private static void write(Backbone backbone, String digest, Safetensors tensors, Path file)
      throws IOException {
    String fileName = String.valueOf(file.getFileName());
    if (!fileName.endsWith(".json")) {
      throw new IllegalArgumentException(file + ": the name of a graph must end in .json");
    }
    String weights = fileName.substring(0, fileName.length() - 5) + ".safetensors";
    ObjectNode graph = graph(backbone, weights, digest);
    byte[] json = (Json.PRETTY.writeValueAsString(graph) + "\n").getBytes(UTF_8);
    tensors.write(file.resolveSibling(weights));
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(json)));
  }

  /**
   * @param statistics as {@link TrainableNetwork#statistics}
   */
  static Safetensors tensors(Backbone graph, float[] statistics) {
    Map<String, Tensor> tensors = new LinkedHashMap<>(tensors(graph).tensors());
    int at = 0;
    for (Node node : graph.nodes()) {
      if (node.layer() instanceof Layer.BatchNorm2d norm) {
        int c = norm.channels();
        tensors.put(
            node.name() + ".running_mean", Tensor.of(Arrays.copyOfRange(statistics, at, at + c)));
        tensors.put(
            node.name() + ".running_var",
            Tensor.of(Arrays.copyOfRange(statistics, at + c, at + 2 * c)));
        at += 2 * c;
      }
    }
    return new Safetensors(Map.of("name", graph.name()), tensors);
  }

  private static Safetensors tensors(Backbone backbone) {
    float[] w0 = backbone.w0();
    Map<String, Layer> layers = new HashMap<>();
    backbone.nodes().forEach(node -> layers.put(node.name(), node.layer()));
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (ParameterBlock block : backbone.blocks()) {
      float[] weight = Arrays.copyOfRange(w0, block.weightOffset(), block.biasOffset());
      float[] bias = Arrays.copyOfRange(w0, block.biasOffset(), block.end());
      long[] shape = {block.out(), block.in()};
      if (layers.get(block.node()) instanceof Layer.Conv2d conv) {
        shape =
            new long[] {
              conv.outChannels(), conv.inChannels(), conv.kernelHeight(), conv.kernelWidth()
            };
      } else if (layers.get(block.node()) instanceof Layer.BatchNorm2d) {
        shape = new long[] {block.out()};
      }
      tensors.put(block.node() + ".weight", Tensor.of(weight, shape));
      tensors.put(block.node() + ".bias", Tensor.of(bias));
    }
    return new Safetensors(Map.of("name", backbone.name()), tensors);
  }

  /**
   * @param digest of the folded network, or "": without
   */
  static ObjectNode graph(Backbone backbone, String weights, String digest) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("format", BackboneReader.FORMAT);
    json.put("name", backbone.name());
    json.put("weights", weights);
    if (!digest.isEmpty()) {
      json.put("digest", digest);
    }
    json.set("input", input(backbone.input()));
    json.put("output", backbone.output());
    json.put("feature_node", backbone.featureNode());
    json.put("classes", backbone.outputShape().size());
    if (!backbone.classNames().isEmpty()) {
      ArrayNode classNames = json.putArray("class_names");
      backbone.classNames().forEach(classNames::add);
    }
    json.put("parameters", backbone.parameters());
    ArrayNode nodes = json.putArray("nodes");
    for (Node node : backbone.nodes()) {
      ObjectNode entry = nodes.addObject().put("name", node.name()).put("op", node.layer().op());
      ArrayNode inputs = entry.putArray("inputs");
      node.inputs().forEach(inputs::add);
      putAttributes(entry, node.layer());
    }
    return json;
  }

  private static ObjectNode input(InputSpec input) {
    if (input.channels() != 1 && input.channels() != 3) {
      throw new IllegalArgumentException(
          "a network file needs an input of 1 (gray) or 3 (RGB) channels, this has "
              + input.channels());
    }
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("channels", input.channels());
    json.put("height", input.height());
    json.put("width", input.width());
    json.put("color", input.channels() == 3 ? "RGB" : "gray");
    json.put("scale", "(x/255 - mean)/std");
    ArrayNode mean = json.putArray("mean");
    ArrayNode std = json.putArray("std");
    for (int c = 0; c < input.channels(); c++) {
      mean.add(input.mean()[c]);
      std.add(input.std()[c]);
    }
    return json;
  }

  private static void putAttributes(ObjectNode json, Layer layer) {
    if (layer instanceof Layer.Conv2d c) {
      json.put("in_channels", c.inChannels()).put("out_channels", c.outChannels());
      json.putArray("kernel").add(c.kernelHeight()).add(c.kernelWidth());
      json.put("stride", c.stride()).put("padding", c.padding()).put("bias", true);
    } else if (layer instanceof Layer.Linear l) {
      json.put("in_features", l.inFeatures()).put("out_features", l.outFeatures());
      json.put("bias", true);
    } else if (layer instanceof Layer.BatchNorm2d n) {
      json.put("channels", n.channels()).put("eps", n.eps());
    } else if (layer instanceof Layer.LeakyRelu r) {
      json.put("negative_slope", r.slope());
    } else if (layer instanceof Layer.MaxPool2d p) {
      json.put("kernel", p.kernel()).put("stride", p.stride()).put("padding", p.padding());
    } else if (layer instanceof Layer.AvgPool2d p) {
      json.put("kernel", p.kernel()).put("stride", p.stride()).put("padding", p.padding());
    } else if (layer instanceof Layer.SubsamplePadChannels s) {
      json.put("stride", s.stride());
      json.put("pad_before", s.padBefore()).put("pad_after", s.padAfter());
    }
  }
}
