package org.lqf.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A pre-trained network as immutable data: graph, input, and the parameters w0 as one flat vector.
 *
 * <p>Every conv2d and linear node has weights and a bias, see {@link ParameterBlock}; they lie in
 * node order without gaps, so the index of a parameter means the same here, in a displacement
 * delta, in a gradient and on the device. A constructed backbone is valid: names are unique, inputs
 * come earlier, shapes fit, every node reaches the output, every parameter is finite.
 */
public final class Backbone {

  private static final double BALANCED = 0x1p-22; // of the weights: floats, and sums of them

  private final String name;
  private final InputSpec input;
  private final List<Node> nodes;
  private final String output;
  private final String featureNode;
  private final List<String> classNames;
  private final float[] w0;
  private final Map<String, Shape> shapes;
  private final List<ParameterBlock> blocks;

  /**
   * Checks and copies.
   *
   * @param name what people call the network; no part of the digest
   * @param nodes in execution order, at least one
   * @param output name of the node whose value is the result
   * @param featureNode name of the last activation before pooling and head, or {@link Node#INPUT}
   * @param classNames one per output value, or empty
   * @param w0 [parameters], laid out as {@link ParameterBlock#layout} says
   * @throws IllegalArgumentException naming the node, what was expected and what came
   */
  public Backbone(
      String name,
      InputSpec input,
      List<Node> nodes,
      String output,
      String featureNode,
      List<String> classNames,
      float[] w0) {
    this.name = name;
    this.input = input;
    this.nodes = List.copyOf(nodes);
    this.output = output;
    this.featureNode = featureNode;
    this.classNames = List.copyOf(classNames);
    this.w0 = w0.clone();
    this.shapes = Collections.unmodifiableMap(inferShapes(input, this.nodes));
    checkEnds();
    this.blocks = ParameterBlock.layout(this.nodes);
    checkParameters();
  }

  /** Reads a graph JSON and the safetensors file beside it; batch norm is folded exactly. */
  public static Backbone read(Path json) throws IOException {
    return BackboneReader.read(json);
  }

  /**
   * Writes the graph JSON and, beside it, its weights as NAME.safetensors. Each file appears whole
   * or not at all; the JSON carries the digest, so a pair that does not belong together is refused.
   */
  public void write(Path json) throws IOException {
    BackboneWriter.write(this, json);
  }

  public String name() {
    return name;
  }

  public InputSpec input() {
    return input;
  }

  /** In execution order. */
  public List<Node> nodes() {
    return nodes;
  }

  /** Name of the node whose value is the result. */
  public String output() {
    return output;
  }

  /** Name of the last activation before pooling and head. */
  public String featureNode() {
    return featureNode;
  }

  /** One per class, or empty where they are not known. */
  public List<String> classNames() {
    return classNames;
  }

  /** Shape of every value of one image, by node name, {@link Node#INPUT} first, in node order. */
  public Map<String, Shape> shapes() {
    return shapes;
  }

  public Shape outputShape() {
    return shape(output);
  }

  /** In node order, without gaps. */
  public List<ParameterBlock> blocks() {
    return blocks;
  }

  /** Number of parameters, biases included. */
  public long parameters() {
    return w0.length;
  }

  /** The pre-trained parameters, [parameters()], as a fresh copy. */
  public float[] w0() {
    return w0.clone();
  }

  /**
   * SHA-256, 64 hex digits, of everything that decides what the network computes: input size and
   * normalisation, nodes with their names, output, feature node, and the bits of every parameter.
   * The name and the class names do not enter. {@link BackboneDigest} gives the exact bytes.
   */
  public String digest() {
    return BackboneDigest.of(this, w0);
  }

  /** The same network with other parameters, [parameters()]. */
  public Backbone withW0(float[] other) {
    return new Backbone(name, input, nodes, output, featureNode, classNames, other);
  }

  /**
   * The same network for images of another size. Convolutions and pools take any size; a linear
   * layer takes it only behind a global average pool.
   *
   * @throws IllegalArgumentException if a shape no longer fits
   */
  public Backbone withInputSize(int height, int width) {
    return new Backbone(
        name, input.withSize(height, width), nodes, output, featureNode, classNames, w0);
  }

  /** The network up to the feature node, then a global average pool "gap": [features, 1, 1]. */
  public Backbone cutAtFeatures() {
    return cut(List.of(), List.of(), new float[0]);
  }

  /**
   * The network cut at its features with a linear layer "head" on the pooled features.
   *
   * @param weight [classes, features], row-major
   * @param bias [classes]
   * @param classNames one per class, or empty
   */
  public Backbone withHead(float[] weight, float[] bias, List<String> classNames) {
    int features = shape(featureNode).channels();
    if (bias.length == 0 || weight.length != (long) bias.length * features) {
      throw new IllegalArgumentException(
          "head: expected [%d,%d] weights for %d biases and %d features of \"%s\", got %d"
              .formatted(bias.length, features, bias.length, features, featureNode, weight.length));
    }
    float[] parameters = new float[weight.length + bias.length];
    System.arraycopy(weight, 0, parameters, 0, weight.length);
    System.arraycopy(bias, 0, parameters, weight.length, bias.length);
    Node head = new Node("head", new Layer.Linear(features, bias.length), "gap");
    return cut(List.of(head), classNames, parameters);
  }

  /**
   * The linear layer that gives the outputs, if its weights sum to 0 over the classes but for
   * rounding. Then so do the derivatives of the outputs by all other layers: those of one class
   * follow from the others'. One-hot targets sum to 1, so every least-squares head is of this kind.
   */
  public Optional<ParameterBlock> balancedHead() {
    if (!(nodes.get(nodes.size() - 1).layer() instanceof Layer.Linear linear)
        || linear.outFeatures() < 2) {
      return Optional.empty();
    }
    ParameterBlock head = blocks.get(blocks.size() - 1);
    double squares = 0;
    double squaresOfSums = 0;
    for (int i = 0; i < head.in(); i++) {
      double sum = 0;
      for (int c = 0; c < head.out(); c++) {
        double weight = w0[head.weightOffset() + c * head.in() + i];
        sum += weight;
        squares += weight * weight;
      }
      squaresOfSums += sum * sum;
    }
    return squaresOfSums <= BALANCED * BALANCED * squares ? Optional.of(head) : Optional.empty();
  }

  /** Keeps what the feature node needs, pools it as "gap", and appends a head that reads "gap". */
  private Backbone cut(List<Node> head, List<String> headClasses, float[] headParameters) {
    Set<String> needed = ancestors(featureNode);
    List<Node> kept = new ArrayList<>();
    for (Node node : nodes) {
      if (needed.contains(node.name())) {
        kept.add(node);
      }
    }
    float[] parameters = new float[w0.length + headParameters.length];
    int end = 0;
    for (ParameterBlock block : blocks) {
      if (needed.contains(block.node())) {
        System.arraycopy(w0, block.weightOffset(), parameters, end, block.size());
        end += block.size();
      }
    }
    System.arraycopy(headParameters, 0, parameters, end, headParameters.length);
    end += headParameters.length;
    kept.add(new Node("gap", new Layer.GlobalAvgPool(), featureNode));
    kept.addAll(head);
    return new Backbone(
        name,
        input,
        kept,
        kept.get(kept.size() - 1).name(),
        featureNode,
        headClasses,
        Arrays.copyOf(parameters, end));
  }

  private Set<String> ancestors(String of) {
    Set<String> needed = new HashSet<>();
    needed.add(of);
    for (int i = nodes.size() - 1; i >= 0; i--) {
      if (needed.contains(nodes.get(i).name())) {
        needed.addAll(nodes.get(i).inputs());
      }
    }
    return needed;
  }

  private static Map<String, Shape> inferShapes(InputSpec input, List<Node> nodes) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    shapes.put(Node.INPUT, input.shape());
    for (int i = 0; i < nodes.size(); i++) {
      Node node = nodes.get(i);
      String where = "%s \"%s\" (node %d): ".formatted(node.layer().op(), node.name(), i);
      List<Shape> inputs = new ArrayList<>();
      for (String from : node.inputs()) {
        Shape shape = shapes.get(from);
        if (shape == null) {
          throw new IllegalArgumentException(
              where
                  + "its input \"%s\" is no earlier node; ".formatted(from)
                  + "nodes must be in execution order, without cycles");
        }
        inputs.add(shape);
      }
      Shape shape;
      try {
        shape = node.layer().outputShape(inputs);
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException(where + e.getMessage(), e);
      }
      if (shapes.put(node.name(), shape) != null) {
        throw new IllegalArgumentException(where + "another node has this name; it must be unique");
      }
    }
    return shapes;
  }

  private void checkEnds() {
    if (nodes.isEmpty()) {
      throw new IllegalArgumentException("network \"%s\" has no nodes".formatted(name));
    }
    if (!shapes.containsKey(output) || output.equals(Node.INPUT)) {
      throw new IllegalArgumentException(
          "output \"%s\" is not a node of the graph".formatted(output));
    }
    if (!shapes.containsKey(featureNode)) {
      throw new IllegalArgumentException(
          "feature node \"%s\" is not a node of the graph".formatted(featureNode));
    }
    Set<String> used = ancestors(output);
    for (Node node : nodes) {
      if (!used.contains(node.name())) {
        throw new IllegalArgumentException(
            "%s \"%s\" does not lead to the output \"%s\"; remove it from the graph"
                .formatted(node.layer().op(), node.name(), output));
      }
    }
    if (!classNames.isEmpty() && classNames.size() != outputShape().size()) {
      throw new IllegalArgumentException(
          "%d class names but output \"%s\" is %s"
              .formatted(classNames.size(), output, outputShape()));
    }
  }

  private void checkParameters() {
    int expected = blocks.isEmpty() ? 0 : blocks.get(blocks.size() - 1).end();
    if (w0.length != expected) {
      throw new IllegalArgumentException(
          "expected %d parameters for the %d weighted nodes of \"%s\", got %d"
              .formatted(expected, blocks.size(), name, w0.length));
    }
    for (ParameterBlock block : blocks) {
      for (int i = block.weightOffset(); i < block.end(); i++) {
        if (!Float.isFinite(w0[i])) {
          throw new IllegalArgumentException(
              "node \"%s\": parameter %d of %d is %s; every weight and bias must be finite"
                  .formatted(block.node(), i - block.weightOffset(), block.size(), w0[i]));
        }
      }
    }
  }

  private Shape shape(String node) {
    Shape shape = shapes.get(node);
    if (shape == null) {
      throw new IllegalArgumentException("\"%s\" is not a node of the graph".formatted(node));
    }
    return shape;
  }

  @Override
  public String toString() {
    return "%s: %s → %s, %d nodes, %d parameters"
        .formatted(name, input.shape(), outputShape(), nodes.size(), w0.length);
  }
}
