package org.lqf.engine.op;

import java.util.List;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.Shape;

/** The result is a vector: nothing stands behind it. */
class GlobalAvgPoolTest extends OpContract {

  @Override
  List<OpCase> shapes() {
    return List.of(
        OpCase.chain(new Shape(3, 1, 1), 7, new Layer.GlobalAvgPool()),
        OpCase.chain(new Shape(3, 4, 4), 13, new Layer.GlobalAvgPool()),
        OpCase.chain(new Shape(3, 2, 8), 100, new Layer.GlobalAvgPool()),
        OpCase.chain(new Shape(3, 16, 16), 3, new Layer.GlobalAvgPool()),
        OpCase.chain(new Shape(3, 7, 7), 64, new Layer.GlobalAvgPool()),
        OpCase.chain(new Shape(3, 5, 3), 17, new Layer.GlobalAvgPool()),
        OpCase.chain(new Shape(7, 4, 2), 0, new Layer.GlobalAvgPool(), new Layer.Linear(7, 3)),
        OpCase.chain(new Shape(3, 8, 8), 1, new Layer.GlobalAvgPool()));
  }

  @Override
  Node odd() {
    return new Node("odd", new Layer.GlobalAvgPool(), List.of(Node.INPUT, Node.INPUT));
  }
}
