package org.lqf.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * One node of the graph JSON: name, op, inputs, and attributes that are taken one by one, so that
 * one left over, which could change the meaning, is noticed. What it throws says what is wrong, and
 * {@link #where} says at which node.
 */
final class GraphNode {

  /** Attributes that may be written out as long as they say what every layer here means anyway. */
  private static final Map<String, JsonNode> FIXED =
      Map.of(
          "groups", JsonNodeFactory.instance.numberNode(1),
          "dilation", JsonNodeFactory.instance.numberNode(1),
          "padding_mode", JsonNodeFactory.instance.textNode("zeros"),
          "ceil_mode", JsonNodeFactory.instance.booleanNode(false),
          "count_include_pad", JsonNodeFactory.instance.booleanNode(true));

  private final JsonNode json;
  private final int index;
  private final Set<String> taken = new HashSet<>(Set.of("name", "op", "inputs"));

  GraphNode(JsonNode json, int index) {
    this.json = json;
    this.index = index;
    if (!json.path("name").isTextual() || !json.path("op").isTextual()) {
      throw new IllegalArgumentException("node %d has no name or no op".formatted(index));
    }
    JsonNode inputs = json.path("inputs");
    if (!inputs.isArray() || inputs.isEmpty()) {
      throw new IllegalArgumentException(where() + "has no list of inputs");
    }
    for (JsonNode input : inputs) {
      if (!input.isTextual()) {
        throw new IllegalArgumentException(where() + "its inputs must be names, got " + input);
      }
    }
  }

  String name() {
    return json.get("name").textValue();
  }

  String op() {
    return json.get("op").textValue();
  }

  List<String> inputs() {
    List<String> names = new ArrayList<>();
    json.get("inputs").forEach(input -> names.add(input.textValue()));
    return names;
  }

  int integer(String attribute) {
    return integer(attribute, take(attribute));
  }

  int integer(String attribute, int otherwise) {
    return json.has(attribute) ? integer(attribute) : otherwise;
  }

  /** An extent written as one integer or as [height, width]. */
  int[] pair(String attribute) {
    JsonNode value = take(attribute);
    if (value.isArray() && value.size() == 2) {
      return new int[] {integer(attribute, value.get(0)), integer(attribute, value.get(1))};
    }
    int side = integer(attribute, value);
    return new int[] {side, side};
  }

  /** Like {@link #pair}, for what must be equal in both directions. */
  int square(String attribute) {
    int[] pair = pair(attribute);
    if (pair[0] != pair[1]) {
      throw new IllegalArgumentException(
          "%s %s: supported is one value for both directions"
              .formatted(attribute, Arrays.toString(pair)));
    }
    return pair[0];
  }

  int square(String attribute, int otherwise) {
    return json.has(attribute) ? square(attribute) : otherwise;
  }

  double number(String attribute) {
    JsonNode value = take(attribute);
    if (!value.isNumber()) {
      throw new IllegalArgumentException("%s must be a number, got %s".formatted(attribute, value));
    }
    return value.doubleValue();
  }

  boolean flag(String attribute) {
    JsonNode value = take(attribute);
    if (!value.isBoolean()) {
      throw new IllegalArgumentException(
          "%s must be true or false, got %s".formatted(attribute, value));
    }
    return value.booleanValue();
  }

  /** Refuses attributes that nobody took. */
  void finish() {
    for (Map.Entry<String, JsonNode> attribute : json.properties()) {
      String key = attribute.getKey();
      if (taken.contains(key)) {
        continue;
      }
      JsonNode fixed = FIXED.get(key);
      if (fixed == null) {
        throw new IllegalArgumentException(
            "unknown attribute \"%s\"; understood are %s".formatted(key, new TreeSet<>(taken)));
      }
      if (!fixed.equals(attribute.getValue())) {
        throw new IllegalArgumentException(
            "%s %s is not supported; supported is %s".formatted(key, attribute.getValue(), fixed));
      }
    }
  }

  /** Begin of a message: op, name and place of the node. */
  String where() {
    return "%s \"%s\" (node %d): ".formatted(op(), name(), index);
  }

  private int integer(String attribute, JsonNode value) {
    if (!value.isIntegralNumber() || !value.canConvertToInt()) {
      throw new IllegalArgumentException(
          "%s must be an integer, got %s".formatted(attribute, value));
    }
    return value.intValue();
  }

  private JsonNode take(String attribute) {
    taken.add(attribute);
    JsonNode value = json.get(attribute);
    if (value == null) {
      throw new IllegalArgumentException("attribute \"%s\" is missing".formatted(attribute));
    }
    return value;
  }
}
