package org.lqf.model;

import java.util.List;

/**
 * A layer at its place in the graph.
 *
 * @param name unique in its {@link Backbone}, without blanks; also the prefix of its tensors' names
 * @param layer what it computes
 * @param inputs names of earlier nodes, or {@link #INPUT} for the image
 */
public record Node(String name, Layer layer, List<String> inputs) {

  /** Name of the image as an input of a node. */
  public static final String INPUT = "input";

  public Node {
    if (name.isEmpty() || name.chars().anyMatch(c -> c <= ' ' || c == 0x7f)) {
      throw new IllegalArgumentException(
          "node name \"%s\": expected a name without blanks or control characters".formatted(name));
    }
    if (name.equals(INPUT)) {
      throw new IllegalArgumentException(
          "node name \"input\" is taken: it means the image; rename the node");
    }
    inputs = List.copyOf(inputs);
  }

  public Node(String name, Layer layer, String input) {
    this(name, layer, List.of(input));
  }
}
