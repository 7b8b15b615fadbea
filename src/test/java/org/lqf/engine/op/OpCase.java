package org.lqf.engine.op;

import java.util.ArrayList;
import java.util.List;
import org.lqf.engine.Numbers;
import org.lqf.engine.Trial;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Shape;

/**
 * The layers under test as a network. In front may stand 1×1 convolutions, whose names begin with
 * {@link #LEAD}, so that the layers' input has a tangent and receives a cotangent. Where the result
 * is no vector, a linear layer "readout" makes five numbers of it.
 */
record OpCase(String name, Backbone zero) {

  static final String LEAD = "lead";
  static final int N = 3;

  /**
   * A chain of layers.
   *
   * @param lead output channels of the convolution in front, 0: the layers read the image
   */
  static OpCase chain(Shape image, int lead, Layer... layers) {
    List<Node> nodes = new ArrayList<>();
    String last = Node.INPUT;
    if (lead > 0) {
      nodes.add(lead(LEAD, image, lead));
      last = LEAD;
    }
    for (Layer layer : layers) {
      String name = layer.op() + nodes.size();
      nodes.add(new Node(name, layer, last));
      last = name;
    }
    return graph(
        "%s %s%s".formatted(image, lead > 0 ? lead + " " : "", List.of(layers)), image, nodes);
  }

  /** Any graph; its last node is the result. */
  static OpCase graph(String name, Shape image, List<Node> nodes) {
    InputSpec input = InputSpec.raw(image.channels(), image.height(), image.width());
    List<Node> all = new ArrayList<>(nodes);
    Backbone bare = backbone(input, all);
    Shape result = bare.outputShape();
    if (result.height() * result.width() > 1) {
      all.add(new Node("readout", new Layer.Linear(result.size(), 5), bare.output()));
    }
    return new OpCase(name, backbone(input, all));
  }

  static Node lead(String name, Shape image, int channels) {
    return new Node(name, new Layer.Conv2d(image.channels(), channels, 1, 1, 1, 0), Node.INPUT);
  }

  private static Backbone backbone(InputSpec input, List<Node> nodes) {
    List<ParameterBlock> layout = ParameterBlock.layout(nodes);
    int parameters = layout.isEmpty() ? 0 : layout.get(layout.size() - 1).end();
    String last = nodes.get(nodes.size() - 1).name();
    return new Backbone("op", input, nodes, last, Node.INPUT, List.of(), new float[parameters]);
  }

  /** Everything in {-1, 0, 1}: ties and zeros abound. */
  Trial integers(long seed) {
    return new Trial(
        zero.withW0(Numbers.integers((int) zero.parameters(), 1, seed)),
        N,
        Numbers.integers(N * zero.input().shape().size(), 1, seed + 1),
        Numbers.integers((int) zero.parameters(), 1, seed + 2),
        Numbers.integers(N * zero.outputShape().size(), 1, seed + 3));
  }

  /** The same with all signs positive: its results bound every partial sum of the other's. */
  static Trial magnitudes(Trial trial) {
    return new Trial(
        trial.net().withW0(abs(trial.net().w0())),
        trial.n(),
        abs(trial.images()),
        abs(trial.delta()),
        abs(trial.cotangent()));
  }

  /** All values of {@link #integers} are multiples of this. */
  double granule() {
    double granule = 1;
    for (Node node : zero.nodes()) {
      if (node.layer() instanceof Layer.LeakyRelu relu && relu.slope() % 1 != 0) {
        granule *= relu.slope();
      } else if (node.layer() instanceof Layer.AvgPool2d pool) {
        granule /= pool.kernel() * pool.kernel();
      } else if (node.layer() instanceof Layer.GlobalAvgPool) {
        Shape in = zero.shapes().get(node.inputs().get(0));
        granule /= in.height() * in.width();
      }
    }
    return granule;
  }

  boolean isExact() {
    return granule() == Math.scalb(1.0, Math.getExponent(granule()));
  }

  /**
   * Normal values; but images and leads are small multiples of 1/16, whose products float sums
   * without rounding: at kinks and among maxima all back ends decide alike.
   */
  Trial normal(long seed) {
    Trial trial = Trial.normal(zero, N, seed);
    float[] w0 = Numbers.normal((int) zero.parameters(), seed + 3);
    for (ParameterBlock block : zero.blocks()) {
      boolean lead = block.node().startsWith(LEAD);
      for (int i = block.weightOffset(); i < block.end(); i++) {
        w0[i] = lead ? sixteenths(w0[i]) : (float) (w0[i] / Math.sqrt(block.in()));
      }
    }
    float[] images = trial.images();
    for (int i = 0; i < images.length; i++) {
      images[i] = sixteenths(images[i]);
    }
    return new Trial(zero.withW0(w0), N, images, trial.delta(), trial.cotangent());
  }

  /** Terms of the longest sums: all that go into an output, or into a gradient over the images. */
  int reduction() {
    int inputs = 0;
    for (ParameterBlock block : zero.blocks()) {
      inputs += block.in() + 1;
    }
    int pixels = 0;
    for (Shape shape : zero.shapes().values()) {
      pixels = Math.max(pixels, shape.height() * shape.width());
    }
    return inputs + N * pixels;
  }

  private static float sixteenths(float value) {
    return Math.round(16 * value) / 16f;
  }

  private static float[] abs(float[] values) {
    float[] magnitudes = values.clone();
    for (int i = 0; i < values.length; i++) {
      magnitudes[i] = Math.abs(values[i]);
    }
    return magnitudes;
  }

  @Override
  public String toString() {
    return name;
  }
}
