package org.lqf.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Residual networks of basic blocks with random weights: {@link #trainable} for training from
 * scratch; the others for benchmarks, tests and shapes, with batch norm already folded, so every
 * convolution has a bias (zero).
 *
 * <p>Source: He, Zhang, Ren, Sun, <i>Deep Residual Learning for Image Recognition</i>, CVPR 2016.
 * Weights are normal with variance 2 / ((1 + slope²) · fan-in) (He et al. 2015), times 1/√blocks
 * for the last convolution of each residual branch: without batch norm the sum over the blocks
 * would grow exponentially (Zhang et al. 2019, Fixup). With batch norm that factor is left out.
 */
public final class Resnets {

  private static final double EPS = 1e-5; // of batch norm, PyTorch's
  private static final Pattern NAME = Pattern.compile("resnet(\\d{1,4})");

  private final List<Node> nodes = new ArrayList<>();
  private final float slope;
  private final boolean norm; // batch norm behind every convolution
  private String last = Node.INPUT;
  private int channels = 3;

  private Resnets(float slope, boolean norm) {
    this.slope = slope;
    this.norm = norm;
  }

  /**
   * A network to train from scratch: batch norm behind every convolution, projections (1×1
   * convolutions, option B) as shortcuts.
   *
   * @param name resnet18 or resnet34 for 224×224 images, or resnet8, resnet14, resnet20 … (6k + 2)
   *     of the CIFAR kind for 32×32 images
   * @param slope of the leaky ReLU, ≥ 0
   * @param classNames one per output
   */
  public static TrainableNetwork trainable(
      String name, float slope, List<String> classNames, long seed) {
    Matcher depth = NAME.matcher(name);
    if (!depth.matches()) {
      throw new IllegalArgumentException(
          "unknown architecture \"%s\", expected resnet8, resnet14, resnet20 … or resnet18, resnet34"
              .formatted(name));
    }
    int layers = Integer.parseInt(depth.group(1));
    Resnets net = new Resnets(slope, true);
    Backbone graph =
        layers == 18 || layers == 34
            ? net.buildImagenet(layers, classNames.size(), classNames, seed)
            : net.buildCifar(layers, true, classNames.size(), classNames, seed);
    return new TrainableNetwork(graph, net.freshStatistics());
  }

  /**
   * ResNet-18 or -34 for 224×224 images: 7×7 stem, max pool, four stages, 1×1 convolutions as
   * shortcuts (option B).
   *
   * @param depth 18 or 34
   * @param slope of the leaky ReLU, ≥ 0
   */
  public static Backbone imagenet(int depth, float slope, int classes, long seed) {
    return new Resnets(slope, false).buildImagenet(depth, classes, List.of(), seed);
  }

  private Backbone buildImagenet(int depth, int classes, List<String> classNames, long seed) {
    int[] blocks =
        switch (depth) {
          case 18 -> new int[] {2, 2, 2, 2};
          case 34 -> new int[] {3, 4, 6, 3};
          default -> throw new IllegalArgumentException("depth must be 18 or 34, got " + depth);
        };
    stem(64, 7, 2);
    then("maxpool", new Layer.MaxPool2d(3, 2, 1));
    for (int stage = 0; stage < 4; stage++) {
      for (int block = 0; block < blocks[stage]; block++) {
        block("layer%d.%d".formatted(stage + 1, block), 64 << stage, stage > 0 && block == 0, true);
      }
    }
    InputSpec input =
        new InputSpec(
            3,
            224,
            224,
            new float[] {0.485f, 0.456f, 0.406f},
            new float[] {0.229f, 0.224f, 0.225f});
    return finish("resnet" + depth, input, classes, classNames, seed);
  }

  /**
   * CIFAR ResNet for 32×32 images: three stages of 16, 32, 64 channels, shortcuts without
   * parameters (option A).
   *
   * @param depth 6k + 2: 8, 14, 20, 32, 44, 56, 110
   * @param slope of the leaky ReLU, ≥ 0
   */
  public static Backbone cifar(int depth, float slope, int classes, long seed) {
    return new Resnets(slope, false).buildCifar(depth, false, classes, List.of(), seed);
  }

  private Backbone buildCifar(
      int depth, boolean projection, int classes, List<String> classNames, long seed) {
    if (depth < 8 || depth % 6 != 2) {
      throw new IllegalArgumentException("depth must be 6k + 2 and at least 8, got " + depth);
    }
    stem(16, 3, 1);
    for (int stage = 0; stage < 3; stage++) {
      for (int block = 0; block < (depth - 2) / 6; block++) {
        block(
            "layer%d.%d".formatted(stage + 1, block),
            16 << stage,
            stage > 0 && block == 0,
            projection);
      }
    }
    InputSpec input =
        new InputSpec(
            3,
            32,
            32,
            new float[] {0.4914f, 0.4822f, 0.4465f},
            new float[] {0.247f, 0.2435f, 0.2616f});
    return finish("resnet" + depth, input, classes, classNames, seed);
  }

  private void stem(int out, int kernel, int stride) {
    conv("conv1", out, kernel, stride);
    normalise("bn1");
    activate("act1");
  }

  /** y = act(conv2(act(conv1(x))) + shortcut(x)). */
  private void block(String name, int out, boolean down, boolean projection) {
    String x = last;
    int in = channels;
    int stride = down ? 2 : 1;
    conv(name + ".conv1", out, 3, stride);
    normalise(name + ".bn1");
    activate(name + ".act1");
    conv(name + ".conv2", out, 3, 1);
    normalise(name + ".bn2");
    String branch = last;
    String shortcut = x;
    if (down && projection) {
      last = x;
      then(name + ".downsample", new Layer.Conv2d(in, out, 1, 1, 2, 0));
      normalise(name + ".downsample.bn");
      shortcut = last;
    } else if (down) {
      shortcut = name + ".shortcut";
      int pad = (out - in) / 2;
      nodes.add(new Node(shortcut, new Layer.SubsamplePadChannels(2, pad, pad), x));
    }
    nodes.add(new Node(name + ".add", new Layer.Add(), List.of(branch, shortcut)));
    last = name + ".add";
    activate(name + ".act2");
  }

  private void conv(String name, int out, int kernel, int stride) {
    then(name, new Layer.Conv2d(channels, out, kernel, kernel, stride, kernel / 2));
    channels = out;
  }

  private void normalise(String name) {
    if (norm) {
      then(name, new Layer.BatchNorm2d(channels, EPS));
    }
  }

  private void activate(String name) {
    then(name, new Layer.LeakyRelu(slope));
  }

  private void then(String name, Layer layer) {
    nodes.add(new Node(name, layer, last));
    last = name;
  }

  private Backbone finish(
      String name, InputSpec input, int classes, List<String> classNames, long seed) {
    String features = last;
    then("gap", new Layer.GlobalAvgPool());
    then("fc", new Layer.Linear(channels, classes));
    return new Backbone(name, input, nodes, "fc", features, classNames, weights(seed));
  }

  /** Mean 0 and variance 1: whatever they are, training replaces them. */
  private float[] freshStatistics() {
    List<Layer.BatchNorm2d> norms =
        nodes.stream()
            .map(Node::layer)
            .filter(Layer.BatchNorm2d.class::isInstance)
            .map(Layer.BatchNorm2d.class::cast)
            .toList();
    float[] statistics = new float[2 * norms.stream().mapToInt(Layer.BatchNorm2d::channels).sum()];
    int at = 0;
    for (Layer.BatchNorm2d batchNorm : norms) {
      at += batchNorm.channels();
      Arrays.fill(statistics, at, at + batchNorm.channels(), 1f);
      at += batchNorm.channels();
    }
    return statistics;
  }

  private float[] weights(long seed) {
    Random random = new Random(seed); // NOTE: its sequence is specified, the same on every JDK
    List<ParameterBlock> layout = ParameterBlock.layout(nodes);
    long blocks = nodes.stream().filter(node -> node.layer() instanceof Layer.Add).count();
    float[] w0 = new float[layout.get(layout.size() - 1).end()];
    Set<String> norms = new HashSet<>();
    for (Node node : nodes) {
      if (node.layer() instanceof Layer.BatchNorm2d) {
        norms.add(node.name());
      }
    }
    for (ParameterBlock block : layout) {
      if (norms.contains(block.node())) {
        Arrays.fill(w0, block.weightOffset(), block.biasOffset(), 1f); // γ = 1, β = 0
        continue;
      }
      double std = Math.sqrt(2 / ((1 + (double) slope * slope) * block.in()));
      if (block.node().endsWith(".conv2") && !norm) {
        std /= Math.sqrt((double) blocks);
      }
      for (int i = block.weightOffset(); i < block.biasOffset(); i++) {
        w0[i] = (float) (std * random.nextGaussian());
      }
    }
    return w0;
  }
}
