package org.lqf.engine;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import org.lqf.model.Backbone;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.Shape;

/** Which input values an output value of a layer reads: the geometry of {@link DualOracle}. */
final class InputIndices {

  private final Backbone backbone;

  InputIndices(Backbone backbone) {
    this.backbone = backbone;
  }

  /** An input value, by index, that enters an output value with a weight. */
  record Source(int index, double weight) {}

  /** What output t of a pool or shortcut is a sum of, at the input x. */
  List<Source> sources(Node node, int t, double[] x) {
    Shape in = shape(node.inputs().get(0));
    Shape out = shape(node.name());
    int channel = t / (out.height() * out.width());
    int oy = t / out.width() % out.height();
    int ox = t % out.width();
    List<Source> sources = new ArrayList<>();
    if (node.layer() instanceof Layer.GlobalAvgPool) {
      for (int index : window(in, channel, 0, 0, in.height(), in.width())) {
        sources.add(new Source(index, 1.0 / (in.height() * in.width())));
      }
    } else if (node.layer() instanceof Layer.AvgPool2d p) {
      int top = oy * p.stride() - p.padding();
      int left = ox * p.stride() - p.padding();
      for (int index : window(in, channel, top, left, p.kernel(), p.kernel())) {
        if (index >= 0) {
          sources.add(new Source(index, 1.0 / (p.kernel() * p.kernel())));
        }
      }
    } else if (node.layer() instanceof Layer.MaxPool2d p) {
      int top = oy * p.stride() - p.padding();
      int left = ox * p.stride() - p.padding();
      int best = -1;
      for (int index : window(in, channel, top, left, p.kernel(), p.kernel())) {
        best = index >= 0 && (best < 0 || x[index] > x[best]) ? index : best;
      }
      sources.add(new Source(best, 1));
    } else if (node.layer() instanceof Layer.SubsamplePadChannels s) {
      int from = channel - s.padBefore();
      if (from >= 0 && from < in.channels()) {
        int[] pixel = window(in, from, oy * s.stride(), ox * s.stride(), 1, 1);
        sources.add(new Source(pixel[0], 1));
      }
    } else {
      throw new AssertionError("the oracle does not know " + node.layer());
    }
    return sources;
  }

  /** Input indices that output position t of a weighted node reads, [in]; -1 is padding. */
  int[] patch(Node node, int t) {
    Shape in = shape(node.inputs().get(0));
    if (!(node.layer() instanceof Layer.Conv2d conv)) {
      return IntStream.range(0, in.size()).toArray(); // linear: everything
    }
    int width = shape(node.name()).width();
    int top = t / width * conv.stride() - conv.padding();
    int left = t % width * conv.stride() - conv.padding();
    return IntStream.range(0, in.channels())
        .flatMap(
            c -> IntStream.of(window(in, c, top, left, conv.kernelHeight(), conv.kernelWidth())))
        .toArray();
  }

  /** Indices of a kernelHeight × kernelWidth window of one channel; -1 outside the image. */
  private static int[] window(Shape in, int c, int top, int left, int height, int width) {
    int[] indices = new int[height * width];
    for (int i = 0; i < indices.length; i++) {
      int y = top + i / width;
      int x = left + i % width;
      boolean inside = y >= 0 && y < in.height() && x >= 0 && x < in.width();
      indices[i] = inside ? (c * in.height() + y) * in.width() + x : -1;
    }
    return indices;
  }

  /** Number of output positions: height · width. */
  int positions(Node node) {
    return shape(node.name()).height() * shape(node.name()).width();
  }

  Shape shape(String name) {
    return Objects.requireNonNull(backbone.shapes().get(name), name);
  }
}
