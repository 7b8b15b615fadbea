package org.lqf.bench.peers;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.lqf.model.Backbone;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Shape;

/**
 * A backbone in libtorch, with a displacement of all weights. Not for several threads.
 *
 * <p>At its best: batch norm folded, channels last, and the Jacobian-vector product written by hand
 * (primal recorded for the reverse pass, tangents without gradient), which is faster than the
 * forward mode of autograd and equal to it. As most would write it: batch norm kept, channels
 * first, forward mode; the batch norm is then the identity plus the bias, so that all agree.
 */
final class TorchNetwork {

  /** How the network is run. */
  enum Style {
    /** At its best. */
    BEST,
    /** As most would write it. */
    NAIVE,
    /** Like BEST, but no value is overwritten: all of them can be looked at. */
    RECORDING
  }

  private static final double EPSILON = 1e-5; // of batch norm

  /** Weight and bias of a layer and their displacements; the bias is the shift of a batch norm. */
  private record Parameters(
      Tensor weight, Tensor bias, Tensor weightDot, Tensor biasDot, BatchNorm norm) {}

  /** Identity: scale 1, mean 0, variance 1 − ε; null where folded. */
  private record BatchNorm(Tensor scale, Tensor scaleDot, Tensor mean, Tensor variance) {}

  /** Values of a recorded forward pass by node, and the places of maxima. */
  static final class Primal {
    final Map<String, Tensor> values = new HashMap<>();
    private final Map<String, Tensor> maxima = new HashMap<>();
  }

  private final Backbone backbone;
  private final Style style;
  private final Map<String, Parameters> parameters = new HashMap<>();
  private final List<Tensor> weights = new ArrayList<>();
  private final List<Tensor> displacements = new ArrayList<>();
  private final Map<String, Integer> readers = new HashMap<>(); // nodes that read a value

  TorchNetwork(Backbone backbone, float[] delta, Style style) {
    this.backbone = backbone;
    this.style = style;
    Map<String, Layer> layers = new HashMap<>();
    for (Node node : backbone.nodes()) {
      layers.put(node.name(), node.layer());
      node.inputs().forEach(input -> readers.merge(input, 1, Integer::sum));
    }
    for (ParameterBlock block : backbone.blocks()) {
      Layer layer = layers.get(block.node());
      Parameters p =
          new Parameters(
              weight(layer, block, backbone.w0()),
              bias(block, backbone.w0()),
              weight(layer, block, delta),
              bias(block, delta),
              style == Style.NAIVE && layer instanceof Layer.Conv2d ? identity(block.out()) : null);
      parameters.put(block.node(), p);
      weights.add(p.weight.requires_grad_(true));
      weights.add(p.bias.requires_grad_(true));
      displacements.add(p.weightDot);
      displacements.add(p.biasDot);
    }
  }

  private Tensor weight(Layer layer, ParameterBlock block, float[] all) {
    float[] values = Arrays.copyOfRange(all, block.weightOffset(), block.biasOffset());
    if (layer instanceof Layer.Conv2d conv) {
      return layout(
          Torch.tensor(
              values,
              conv.outChannels(),
              conv.inChannels(),
              conv.kernelHeight(),
              conv.kernelWidth()));
    }
    return Torch.tensor(values, block.out(), block.in());
  }

  private static Tensor bias(ParameterBlock block, float[] all) {
    return Torch.tensor(Arrays.copyOfRange(all, block.biasOffset(), block.end()), block.out());
  }

  private static BatchNorm identity(int channels) {
    return new BatchNorm(
        torch.ones(channels).requires_grad_(true),
        torch.zeros(channels),
        torch.zeros(channels),
        torch.ones(channels).sub(new Scalar(EPSILON)));
  }

  private Tensor layout(Tensor tensor) {
    return style == Style.NAIVE ? tensor : tensor.contiguous(torch.MemoryFormat.ChannelsLast);
  }

  /** Images [n, channels, height, width] in the layout of this network. */
  Tensor images(float[] values, int n) {
    Shape shape = backbone.input().shape();
    return layout(Torch.tensor(values, n, shape.channels(), shape.height(), shape.width()));
  }

  List<Tensor> displacements() {
    return displacements;
  }

  // ---- verbs

  /** f(x; w0), [n, classes]. */
  Tensor scores(Tensor images) {
    try (AutoGradMode off = new AutoGradMode(false)) {
      return forward(images, null);
    }
  }

  /** J·displacement by hand. */
  Tensor jvp(Tensor images) {
    try (AutoGradMode off = new AutoGradMode(false)) {
      return dual(images, new Primal(), true);
    }
  }

  /** f(x; w0) + J·displacement. */
  Tensor predict(Tensor images) {
    try (AutoGradMode off = new AutoGradMode(false)) {
      Primal primal = new Primal();
      Tensor change = dual(images, primal, true);
      return change.add_(primal.values.get(backbone.output()));
    }
  }

  /** Jᵀ·cotangent, weight, bias of every layer in node order. */
  TensorVector vjp(Tensor images, Tensor cotangent) {
    return gradient(forward(images, null), cotangent, false);
  }

  /** Jᵀ(f(x; w0) + J·displacement − targets)/n + ridge·displacement. */
  TensorVector step(Tensor images, Tensor targets, double ridge) {
    return style == Style.NAIVE
        ? automaticStep(images, targets, ridge)
        : step(images, new Primal(), true, targets, ridge);
  }

  /** The same on a recorded forward pass. */
  TensorVector keptStep(Tensor images, Primal primal, Tensor targets, double ridge) {
    return step(images, primal, false, targets, ridge);
  }

  /** Records a forward pass. */
  Primal keep(Tensor images) {
    Primal primal = new Primal();
    dual(images, primal, true);
    return primal;
  }

  /** Cotangents of recorded values for a cotangent of the scores. */
  TensorVector cotangents(Primal primal, List<String> nodes, Tensor cotangent) {
    return torch.grad(
        new TensorVector(primal.values.get(backbone.output())),
        new TensorVector(nodes.stream().map(primal.values::get).toArray(Tensor[]::new)),
        new TensorVector(cotangent),
        new BoolOptional(true),
        false,
        false);
  }

  private TensorVector step(
      Tensor images, Primal primal, boolean evaluate, Tensor targets, double ridge) {
    Tensor change = dual(images, primal, evaluate);
    Tensor scores = primal.values.get(backbone.output());
    return ridged(scores, residual(scores, change, targets), ridge, !evaluate);
  }

  private TensorVector automaticStep(Tensor images, Tensor targets, double ridge) {
    long level = torch.enter_dual_level();
    Tensor[] parts = Torch.parts(forward(images, level), level);
    Tensor residual = residual(parts[0], parts[1], targets);
    torch.exit_dual_level(level);
    return ridged(parts[0], residual, ridge, false);
  }

  private static Tensor residual(Tensor scores, Tensor change, Tensor targets) {
    try (AutoGradMode off = new AutoGradMode(false)) {
      return scores
          .detach()
          .add(change.detach())
          .sub_(targets)
          .mul_(new Scalar(1.0 / targets.size(0)));
    }
  }

  private TensorVector ridged(Tensor scores, Tensor residual, double ridge, boolean again) {
    TensorVector gradient = gradient(scores, residual, again);
    try (AutoGradMode off = new AutoGradMode(false)) {
      for (int i = 0; i < displacements.size(); i++) {
        gradient.get(i).add_(displacements.get(i), new Scalar(ridge));
      }
    }
    return gradient;
  }

  private TensorVector gradient(Tensor scores, Tensor cotangent, boolean again) {
    return torch.grad(
        new TensorVector(scores),
        new TensorVector(weights.toArray(new Tensor[0])),
        new TensorVector(cotangent),
        new BoolOptional(again),
        false,
        false);
  }

  // ---- walks

  /** Scores; dual numbers if there is a level of forward mode. */
  private Tensor forward(Tensor images, Long level) {
    Map<String, Tensor> values = new HashMap<>();
    values.put(Node.INPUT, images);
    for (Node node : backbone.nodes()) {
      Tensor x = values.get(node.inputs().get(0));
      Layer layer = node.layer();
      Tensor y;
      if (parameters.containsKey(node.name())) {
        Parameters p = parameters.get(node.name());
        y =
            layer(
                layer,
                x,
                p,
                with(p.weight, p.weightDot, level),
                with(p.bias, p.biasDot, level),
                level);
      } else if (layer instanceof Layer.LeakyRelu relu) {
        Scalar slope = new Scalar((double) relu.slope());
        y = soleReader(node, 0) ? torch.leaky_relu_(x, slope) : torch.leaky_relu(x, slope);
      } else if (layer instanceof Layer.MaxPool2d pool) {
        y =
            torch.max_pool2d(
                x, two(pool.kernel()), two(pool.stride()), two(pool.padding()), two(1), false);
      } else if (layer instanceof Layer.Add) {
        Tensor other = values.get(node.inputs().get(1));
        y = soleReader(node, 0) ? x.add_(other) : x.add(other);
      } else {
        y = linearMap(layer, x);
      }
      values.put(node.name(), y);
    }
    return values.get(backbone.output());
  }

  private static Tensor with(Tensor primal, Tensor tangent, Long level) {
    return level == null ? primal : Torch.dual(primal, tangent, level);
  }

  private static Tensor layer(
      Layer layer, Tensor x, Parameters p, Tensor weight, Tensor bias, Long level) {
    if (layer instanceof Layer.Conv2d conv && p.norm != null) {
      BatchNorm norm = p.norm;
      return torch.batch_norm(
          convolve(conv, x, weight, null),
          new TensorOptional(with(norm.scale, norm.scaleDot, level)),
          new TensorOptional(bias),
          new TensorOptional(norm.mean),
          new TensorOptional(norm.variance),
          false,
          0.1,
          EPSILON,
          false);
    }
    return affine(layer, x, weight, bias);
  }

  private static Tensor affine(Layer layer, Tensor x, Tensor weight, Tensor bias) {
    return layer instanceof Layer.Conv2d conv
        ? convolve(conv, x, weight, bias)
        : torch.linear(x.flatten(1, -1), weight, optional(bias));
  }

  private static Tensor convolve(Layer.Conv2d conv, Tensor x, Tensor weight, Tensor bias) {
    return torch.conv2d(
        x, weight, optional(bias), two(conv.stride()), two(conv.padding()), two(1), 1);
  }

  private static TensorOptional optional(Tensor tensor) {
    return tensor == null ? new TensorOptional() : new TensorOptional(tensor);
  }

  private static Tensor linearMap(Layer layer, Tensor x) {
    if (layer instanceof Layer.GlobalAvgPool) {
      return x.mean(2, 3);
    }
    if (layer instanceof Layer.SubsamplePadChannels shortcut) {
      Tensor small = x;
      for (long axis = 2; axis <= 3; axis++) {
        small = small.slice(axis, new LongOptional(), new LongOptional(), shortcut.stride());
      }
      long[] pads = {0, 0, 0, 0, shortcut.padBefore(), shortcut.padAfter()};
      return torch.constant_pad_nd(small, pads, new Scalar(0));
    }
    throw new IllegalArgumentException("not written for libtorch: " + layer);
  }

  /**
   * Tangent of the scores; values of the primal are recorded, or taken where they were.
   *
   * @param evaluate whether primal is empty and to be filled
   */
  private Tensor dual(Tensor images, Primal primal, boolean evaluate) {
    Map<String, Tensor> x = primal.values;
    Map<String, Tensor> tangents = new HashMap<>();
    x.put(Node.INPUT, images);
    for (Node node : backbone.nodes()) {
      if (evaluate) {
        x.put(node.name(), value(node, primal));
      }
      try (AutoGradMode off = new AutoGradMode(false)) {
        tangents.put(node.name(), tangent(node, primal, tangents));
      }
    }
    return tangents.get(backbone.output());
  }

  private Tensor value(Node node, Primal primal) {
    Tensor x = primal.values.get(node.inputs().get(0));
    Layer layer = node.layer();
    if (parameters.containsKey(node.name())) {
      Parameters p = parameters.get(node.name());
      return affine(layer, x, p.weight, p.bias);
    } else if (layer instanceof Layer.LeakyRelu relu) {
      Scalar slope = new Scalar((double) relu.slope());
      return soleReader(node, 0) ? torch.leaky_relu_(x, slope) : torch.leaky_relu(x, slope);
    } else if (layer instanceof Layer.MaxPool2d pool) {
      T_TensorTensor_T result =
          torch.max_pool2d_with_indices(
              x, two(pool.kernel()), two(pool.stride()), two(pool.padding()), two(1), false);
      // of their own: what get0 and get1 give ends with the pair
      primal.maxima.put(node.name(), new Tensor(result.get1()));
      return new Tensor(result.get0());
    } else if (layer instanceof Layer.Add) {
      Tensor other = primal.values.get(node.inputs().get(1));
      return soleReader(node, 0) ? x.add_(other) : x.add(other);
    }
    return linearMap(layer, x);
  }

  private Tensor tangent(Node node, Primal primal, Map<String, Tensor> tangents) {
    Tensor x = primal.values.get(node.inputs().get(0));
    Tensor xDot = tangents.get(node.inputs().get(0)); // null: the image has none
    Layer layer = node.layer();
    if (parameters.containsKey(node.name())) {
      Parameters p = parameters.get(node.name());
      Tensor own = affine(layer, x, p.weightDot, p.biasDot);
      return xDot == null ? own : own.add_(affine(layer, xDot, p.weight, null));
    } else if (layer instanceof Layer.LeakyRelu relu) {
      // The sign of the output is that of the input, which may have been overwritten.
      return torch.leaky_relu_backward(
          xDot, primal.values.get(node.name()), new Scalar((double) relu.slope()), true);
    } else if (layer instanceof Layer.MaxPool2d) {
      Tensor maxima = primal.maxima.get(node.name());
      return layout(xDot.flatten(2, 3).gather(2, maxima.flatten(2, 3)).view_as(maxima));
    } else if (layer instanceof Layer.Add) {
      Tensor other = tangents.get(node.inputs().get(1));
      return soleReader(node, 0) ? xDot.add_(other) : xDot.add(other);
    }
    return linearMap(layer, xDot);
  }

  /** Whether only this node reads its input, so that it may overwrite it. */
  private boolean soleReader(Node node, int input) {
    String name = node.inputs().get(input);
    return style != Style.RECORDING && readers.get(name) == 1 && !name.equals(Node.INPUT);
  }

  private static long[] two(long value) {
    return new long[] {value, value};
  }
}
