package org.lqf.engine.op;

import java.util.List;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.Shape;

/** Of vectors and of whole maps. */
class LinearTest extends OpContract {

  @Override
  List<OpCase> shapes() {
    return List.of(
        OpCase.chain(new Shape(1, 1, 1), 0, new Layer.Linear(1, 7)),
        OpCase.chain(new Shape(17, 1, 1), 0, new Layer.Linear(17, 3)),
        OpCase.chain(new Shape(3, 4, 5), 0, new Layer.Linear(60, 7)),
        OpCase.chain(new Shape(3, 3, 3), 13, new Layer.Linear(117, 100)),
        OpCase.chain(new Shape(3, 1, 1), 16, new Layer.Linear(16, 300)),
        OpCase.chain(new Shape(3, 13, 7), 17, new Layer.Linear(1547, 1)),
        OpCase.chain(
            new Shape(7, 1, 1),
            0,
            new Layer.Linear(7, 100),
            new Layer.Linear(100, 13),
            new Layer.Linear(13, 1)));
  }

  @Override
  Node odd() {
    return new Node("odd", new Layer.Linear(47, 7), Node.INPUT);
  }
}
