package org.lqf.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.Precision;
import org.lqf.engine.Winograd;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;

/**
 * A plan around one layer: image of one channel → 1×1 convolution to the layer's channels, so that
 * its input has a tangent → the layer → global average. The other two cost a few percent of a
 * convolution's time, which is counted as the layer's; elementwise layers look slower than they are
 * by about the price of writing their input and reading their output once more. A layer of three
 * input channels takes the image itself, as the first one of a network does.
 */
public final class OneLayer implements AutoCloseable {

  /** Images of a batch. */
  public static final int IMAGES = 8;

  private final Engine engine;
  private final Plan plan;
  private final float[] images;
  private final DeviceVector delta;
  private final DeviceVector outputs;
  private final DeviceVector gradient;
  private final Limits limits;

  /**
   * @param layer its input has the channels and the side of the shape
   */
  public OneLayer(String device, int threads, LayerShape shape, Layer layer) throws IOException {
    this(device, threads, Precision.FP32, shape, layer);
  }

  /** The same in a precision that the device has. */
  public OneLayer(String device, int threads, Precision precision, LayerShape shape, Layer layer)
      throws IOException {
    boolean first = shape.channels() == 3;
    List<Node> nodes = new ArrayList<>();
    String x = Node.INPUT;
    if (!first) {
      nodes.add(new Node("widen", new Layer.Conv2d(1, shape.channels(), 1, 1, 1, 0), x));
      x = "widen";
    }
    if (layer instanceof Layer.Add) {
      nodes.add(new Node("other", new Layer.Conv2d(1, shape.channels(), 1, 1, 1, 0), Node.INPUT));
      nodes.add(new Node("layer", layer, List.of(x, "other")));
    } else {
      nodes.add(new Node("layer", layer, x));
    }
    if (!(layer instanceof Layer.Linear)) {
      nodes.add(new Node("mean", new Layer.GlobalAvgPool(), "layer"));
    }
    List<ParameterBlock> blocks = ParameterBlock.layout(nodes);
    Random random = new Random(1);
    float[] w0 = normal(random, blocks.isEmpty() ? 0 : blocks.get(blocks.size() - 1).end());
    int channels = first ? 3 : 1;
    InputSpec input =
        new InputSpec(channels, shape.side(), shape.side(), new float[channels], ones(channels));
    String output = nodes.get(nodes.size() - 1).name();
    Backbone backbone = new Backbone("one layer", input, nodes, output, output, List.of(), w0);
    engine = Engine.open(device, threads, Winograd.F2, precision);
    plan = engine.compile(backbone, IMAGES);
    images = normal(random, IMAGES * input.shape().size());
    delta = engine.vector(normal(random, w0.length));
    outputs = engine.vector((long) IMAGES * plan.classes());
    gradient = engine.vector(w0.length);
    plan.forward(images, IMAGES);
    limits = Limits.of(device, threads);
  }

  static float[] normal(Random random, int length) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static float[] ones(int length) {
    float[] values = new float[length];
    Arrays.fill(values, 1);
    return values;
  }

  /** The verbs end when the device is done. */
  public void forward() {
    plan.forward(images, IMAGES);
    engine.synchronise();
  }

  public void jvp() {
    plan.jvp(delta, outputs);
    engine.synchronise();
  }

  public void vjp() {
    plan.vjp(outputs, gradient);
    engine.synchronise();
  }

  public void synchronise() {
    engine.synchronise();
  }

  /** A vector of zeros of the plan's engine. */
  public DeviceVector vector(long length) {
    return engine.vector(length);
  }

  public Plan plan() {
    return plan;
  }

  /** Measured when this was made. */
  public Limits limits() {
    return limits;
  }

  @Override
  public void close() {
    plan.close();
    delta.close();
    outputs.close();
    gradient.close();
    engine.close();
  }
}
