package org.lqf.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A network that can be trained from scratch: batch norm stands as layers of its own, and beside
 * the parameters there are the running statistics that inference will use. Immutable.
 *
 * <p>Everything else in this library takes the {@link #folded} network. A network without batch
 * norm has no statistics and is its own folded form.
 */
public final class TrainableNetwork {

  private final Backbone graph;
  private final float[] statistics;
  private final Map<String, Integer> places; // in statistics, by batch norm, in node order
  private final Backbone folded;

  /**
   * Checks and copies.
   *
   * @param graph with its {@link Layer.BatchNorm2d} nodes
   * @param statistics for each of them, in node order, running mean [channels] and running variance
   *     [channels]
   * @throws IllegalArgumentException if the number of statistics does not fit, or a batch norm
   *     cannot be folded: it must follow a conv2d or linear that nothing else reads
   */
  public TrainableNetwork(Backbone graph, float[] statistics) {
    this.graph = graph;
    this.statistics = statistics.clone();
    this.places = new LinkedHashMap<>();
    int length = 0;
    for (Node node : graph.nodes()) {
      if (node.layer() instanceof Layer.BatchNorm2d norm) {
        places.put(node.name(), length);
        length += 2 * norm.channels();
      }
    }
    if (statistics.length != length) {
      throw new IllegalArgumentException(
          "\"%s\" has %d running statistics, got %d"
              .formatted(graph.name(), length, statistics.length));
    }
    this.folded =
        BackboneReader.fold(
            BackboneWriter.graph(graph, "", ""), BackboneWriter.tensors(graph, statistics));
  }

  /** Reads a graph JSON and the safetensors file beside it as {@link Backbone#read}, unfolded. */
  public static TrainableNetwork read(Path json) throws IOException {
    return BackboneReader.readTrainable(json);
  }

  /** Writes files that {@link Backbone#read} and {@link #read} take, batch norm unfolded. */
  public void write(Path json) throws IOException {
    BackboneWriter.write(this, json);
  }

  /** With {@link Layer.BatchNorm2d} nodes; a plan of it normalises by its batch. */
  public Backbone graph() {
    return graph;
  }

  /** Running mean and variance of each batch norm, in node order, as a fresh copy. */
  public float[] statistics() {
    return statistics.clone();
  }

  /** The network for inference: the running statistics folded into the layers before. */
  public Backbone folded() {
    return folded;
  }

  /**
   * The same network elsewhere in its training.
   *
   * @param parameters [graph().parameters()]
   * @param newStatistics as {@link #statistics}
   */
  public TrainableNetwork with(float[] parameters, float[] newStatistics) {
    return new TrainableNetwork(graph.withW0(parameters), newStatistics);
  }

  /**
   * This network with the parameters and statistics of a part of it, such as {@link #cutAtFeatures}
   * after a training.
   */
  public TrainableNetwork with(TrainableNetwork part) {
    Map<String, ParameterBlock> blocks = new HashMap<>();
    part.graph.blocks().forEach(block -> blocks.put(block.node(), block));
    float[] parameters = graph.w0();
    float[] trained = part.graph.w0();
    for (ParameterBlock to : graph.blocks()) {
      ParameterBlock from = blocks.get(to.node());
      if (from != null) {
        System.arraycopy(trained, from.weightOffset(), parameters, to.weightOffset(), to.size());
      }
    }
    float[] merged = statistics.clone();
    part.copyStatistics(graph.nodes(), places, merged);
    return with(parameters, merged);
  }

  /** As {@link Backbone#cutAtFeatures}: the output is the pooled features. */
  public TrainableNetwork cutAtFeatures() {
    Backbone cut = graph.cutAtFeatures();
    Map<String, Integer> kept = new HashMap<>();
    int length = 0;
    for (Node node : cut.nodes()) {
      if (node.layer() instanceof Layer.BatchNorm2d norm) {
        kept.put(node.name(), length);
        length += 2 * norm.channels();
      }
    }
    float[] left = new float[length];
    copyStatistics(cut.nodes(), kept, left);
    return new TrainableNetwork(cut, left);
  }

  /** Copies the statistics of those of the nodes that are here to their places in another array. */
  private void copyStatistics(List<Node> nodes, Map<String, Integer> to, float[] target) {
    for (Node node : nodes) {
      Integer from = places.get(node.name());
      Integer place = to.get(node.name());
      if (from != null && place != null && node.layer() instanceof Layer.BatchNorm2d norm) {
        System.arraycopy(statistics, from, target, place, 2 * norm.channels());
      }
    }
  }

  /**
   * The same network with leaky ReLU of this slope in the place of ReLU: the weights do not fit it
   * any more, until a short training has moved them.
   *
   * @param slope &gt; 0
   * @throws IllegalArgumentException if there is no ReLU
   */
  public TrainableNetwork withSlope(float slope) {
    List<Node> nodes = graph.nodes().stream().map(node -> leaky(node, slope)).toList();
    if (!(slope > 0) || nodes.equals(graph.nodes())) {
      throw new IllegalArgumentException(
          "expected a network with ReLU (negative_slope 0) and a slope above 0, got \"%s\" and %s"
              .formatted(graph.name(), slope));
    }
    return new TrainableNetwork(
        new Backbone(
            graph.name(),
            graph.input(),
            nodes,
            graph.output(),
            graph.featureNode(),
            graph.classNames(),
            graph.w0()),
        statistics);
  }

  private static Node leaky(Node node, float slope) {
    return node.layer() instanceof Layer.LeakyRelu relu && relu.slope() == 0
        ? new Node(node.name(), new Layer.LeakyRelu(slope), node.inputs())
        : node;
  }

  /** As {@link Backbone#withInputSize}. */
  public TrainableNetwork withInputSize(int height, int width) {
    return new TrainableNetwork(graph.withInputSize(height, width), statistics);
  }

  @Override
  public String toString() {
    return graph.toString();
  }
}
