package org.lqf.model;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** Multiply-adds of a forward pass of one image: weights times positions of each layer. */
public final class Macs {

  private Macs() {}

  public static double of(Backbone network) {
    return byLayer(network).values().stream().mapToDouble(Double::doubleValue).sum();
  }

  /** Those of each layer with parameters by its name, in node order. */
  public static Map<String, Double> byLayer(Backbone network) {
    Map<String, Shape> shapes = new HashMap<>(network.shapes());
    Map<String, Double> macs = new LinkedHashMap<>();
    for (ParameterBlock block : network.blocks()) {
      Shape shape = shapes.get(block.node());
      macs.put(block.node(), shape == null ? 0 : (double) block.in() * shape.size());
    }
    return macs;
  }
}
