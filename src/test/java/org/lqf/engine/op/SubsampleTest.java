package org.lqf.engine.op;

import java.util.List;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.Shape;

/** The parameter-free shortcut: every stride-th pixel, zero channels around. */
class SubsampleTest extends OpContract {

  @Override
  List<OpCase> shapes() {
    return List.of(
        OpCase.chain(new Shape(3, 7, 5), 16, new Layer.SubsamplePadChannels(2, 4, 4)),
        OpCase.chain(new Shape(3, 7, 7), 3, new Layer.SubsamplePadChannels(2, 0, 1)),
        OpCase.chain(new Shape(3, 5, 8), 7, new Layer.SubsamplePadChannels(3, 1, 3)),
        OpCase.chain(new Shape(3, 3, 3), 64, new Layer.SubsamplePadChannels(1, 16, 16)),
        OpCase.chain(new Shape(3, 4, 4), 17, new Layer.SubsamplePadChannels(2, 5, 0)),
        OpCase.chain(new Shape(3, 2, 2), 100, new Layer.SubsamplePadChannels(5, 1, 6)),
        OpCase.chain(
            new Shape(3, 9, 9),
            13,
            new Layer.SubsamplePadChannels(2, 0, 0),
            new Layer.SubsamplePadChannels(2, 3, 2)),
        OpCase.chain(new Shape(13, 5, 6), 0, new Layer.SubsamplePadChannels(2, 1, 2)),
        OpCase.chain(new Shape(7, 5, 5), 1, new Layer.SubsamplePadChannels(2, 0, 0)));
  }

  @Override
  Node odd() {
    return new Node(
        "odd", new Layer.SubsamplePadChannels(2, 1, 1), List.of(Node.INPUT, Node.INPUT));
  }
}
