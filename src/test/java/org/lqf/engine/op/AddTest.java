package org.lqf.engine.op;

import java.util.ArrayList;
import java.util.List;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.Shape;

/** Every combination of terms that move with the parameters and terms that do not. */
class AddTest extends OpContract {

  @Override
  List<OpCase> shapes() {
    return List.of(
        sum("two leads", 13, 13, "lead1", "lead2"),
        sum("lead and image", 7, 7, "lead1", Node.INPUT),
        sum("image and lead", 3, 3, Node.INPUT, "lead1"),
        sum("image twice", 17, 0, Node.INPUT, Node.INPUT),
        sum("lead twice", 3, 64, "lead1", "lead1"),
        sum("a hundred channels", 1, 100, "lead2", "lead1"),
        diamond());
  }

  @Override
  Node odd() {
    return new Node("odd", new Layer.Add(), Node.INPUT);
  }

  /** A sum of two of: the image [channels,5,3] and two convolutions of it, where width is not 0. */
  private static OpCase sum(String name, int channels, int width, String left, String right) {
    Shape image = new Shape(channels, 5, 3);
    List<Node> nodes = new ArrayList<>();
    for (String lead : List.of("lead1", "lead2")) {
      if (lead.equals(left) || lead.equals(right)) {
        nodes.add(OpCase.lead(lead, image, width));
      }
    }
    nodes.add(new Node("sum", new Layer.Add(), List.of(left, right)));
    return OpCase.graph(name, image, nodes);
  }

  /** x + (x + x'): a cotangent arrives three times at one value. */
  private static OpCase diamond() {
    Shape image = new Shape(3, 4, 4);
    return OpCase.graph(
        "x + (x + x')",
        image,
        List.of(
            OpCase.lead("lead1", image, 17),
            new Node("relu", new Layer.LeakyRelu(0.25f), "lead1"),
            new Node("inner", new Layer.Add(), List.of("relu", "lead1")),
            new Node("outer", new Layer.Add(), List.of("lead1", "inner"))));
  }
}
