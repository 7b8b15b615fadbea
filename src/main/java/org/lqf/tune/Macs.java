package org.lqf.tune;

import java.util.HashMap;
import java.util.Map;
import org.lqf.model.Backbone;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Shape;

/** Multiply-adds of one forward pass of one image: weights times positions of each layer. */
public final class Macs {

  private Macs() {}

  public static double of(Backbone network) {
    Map<String, Shape> shapes = new HashMap<>(network.shapes());
    double sum = 0;
    for (ParameterBlock block : network.blocks()) {
      Shape shape = shapes.get(block.node());
      if (shape != null) {
        sum += (double) block.in() * shape.size();
      }
    }
    return sum;
  }
}
