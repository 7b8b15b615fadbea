package org.lqf.engine.op;

import java.util.List;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.Shape;

/** In place and not; the derivative at zero is the slope. */
class LeakyReluTest extends OpContract {

  @Override
  List<OpCase> shapes() {
    return List.of(
        OpCase.chain(new Shape(3, 5, 7), 1, new Layer.LeakyRelu(0.25f)),
        OpCase.chain(new Shape(3, 3, 3), 3, new Layer.LeakyRelu(0f)),
        OpCase.chain(new Shape(3, 1, 1), 7, new Layer.LeakyRelu(0.25f)),
        OpCase.chain(new Shape(3, 4, 3), 13, new Layer.LeakyRelu(1f)),
        OpCase.chain(new Shape(3, 5, 4), 17, new Layer.LeakyRelu(0.125f)),
        OpCase.chain(new Shape(3, 7, 7), 64, new Layer.LeakyRelu(0.25f)),
        OpCase.chain(
            new Shape(3, 2, 9), 100, new Layer.LeakyRelu(0.5f), new Layer.LeakyRelu(0.25f)),
        OpCase.chain(new Shape(13, 5, 5), 0, new Layer.LeakyRelu(0.25f)),
        beside(0.25f),
        beside(0f));
  }

  @Override
  Node odd() {
    return new Node("odd", new Layer.LeakyRelu(0.25f), List.of(Node.INPUT, Node.INPUT));
  }

  /** z + leaky_relu(z): z is read twice, so it must survive. */
  private static OpCase beside(float slope) {
    Shape image = new Shape(3, 4, 5);
    return OpCase.graph(
        "z + leaky_relu(z), slope " + slope,
        image,
        List.of(
            OpCase.lead(OpCase.LEAD, image, 17),
            new Node("relu", new Layer.LeakyRelu(slope), OpCase.LEAD),
            new Node("sum", new Layer.Add(), List.of("relu", OpCase.LEAD))));
  }
}
