package org.lqf.engine.op;

import java.util.List;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.Shape;

/** Padding counts as zeros. */
class AvgPoolTest extends OpContract {

  @Override
  List<OpCase> shapes() {
    return List.of(
        OpCase.chain(new Shape(3, 7, 5), 13, new Layer.AvgPool2d(2, 2, 0)),
        OpCase.chain(new Shape(3, 7, 9), 64, new Layer.AvgPool2d(2, 2, 1)),
        OpCase.chain(new Shape(3, 5, 5), 7, new Layer.AvgPool2d(3, 1, 1)),
        OpCase.chain(new Shape(3, 3, 3), 17, new Layer.AvgPool2d(4, 3, 2)),
        OpCase.chain(new Shape(3, 1, 1), 100, new Layer.AvgPool2d(2, 1, 1)),
        OpCase.chain(new Shape(3, 6, 5), 3, new Layer.AvgPool2d(1, 2, 0)),
        OpCase.chain(new Shape(3, 8, 7), 1, new Layer.AvgPool2d(2, 3, 1)),
        OpCase.chain(
            new Shape(3, 9, 9), 16, new Layer.AvgPool2d(3, 2, 0), new Layer.AvgPool2d(2, 1, 0)),
        OpCase.chain(new Shape(7, 5, 6), 0, new Layer.AvgPool2d(4, 2, 1)));
  }

  @Override
  Node odd() {
    return new Node("odd", new Layer.AvgPool2d(7, 1, 1), Node.INPUT);
  }
}
