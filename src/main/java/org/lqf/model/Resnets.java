package org.lqf.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Residual networks of basic blocks with random weights: for benchmarks, tests and shapes, not
 * pre-trained. Batch norm is already folded, so every convolution has a bias (zero).
 *
 * <p>Source: He, Zhang, Ren, Sun, <i>Deep Residual Learning for Image Recognition</i>, CVPR 2016.
 * Weights are normal with variance 2 / ((1 + slope²) · fan-in) (He et al. 2015), times 1/√blocks
 * for the last convolution of each residual branch: without batch norm the sum over the blocks
 * would grow exponentially (Zhang et al. 2019, Fixup).
 */
public final class Resnets {

  private final List<Node> nodes = new ArrayList<>();
  private final float slope;
  private String last = Node.INPUT;
  private int channels = 3;

  private Resnets(float slope) {
    this.slope = slope;
  }

  /**
   * ResNet-18 or -34 for 224×224 images: 7×7 stem, max pool, four stages, 1×1 convolutions as
   * shortcuts (option B).
   *
   * @param depth 18 or 34
   * @param slope of the leaky ReLU, ≥ 0
   */
  public static Backbone imagenet(int depth, float slope, int classes, long seed) {
    int[] blocks =
        switch (depth) {
          case 18 -> new int[] {2, 2, 2, 2};
          case 34 -> new int[] {3, 4, 6, 3};
          default -> throw new IllegalArgumentException("depth must be 18 or 34, got " + depth);
        };
    Resnets net = new Resnets(slope);
    net.conv("conv1", 64, 7, 2);
    net.activate("act1");
    net.then("maxpool", new Layer.MaxPool2d(3, 2, 1));
    for (int stage = 0; stage < 4; stage++) {
      for (int block = 0; block < blocks[stage]; block++) {
        net.block(
            "layer%d.%d".formatted(stage + 1, block), 64 << stage, stage > 0 && block == 0, true);
      }
    }
    InputSpec input =
        new InputSpec(
            3,
            224,
            224,
            new float[] {0.485f, 0.456f, 0.406f},
            new float[] {0.229f, 0.224f, 0.225f});
    return net.finish("resnet" + depth, input, classes, seed);
  }

  /**
   * CIFAR ResNet for 32×32 images: three stages of 16, 32, 64 channels, shortcuts without
   * parameters (option A).
   *
   * @param depth 6k + 2: 8, 14, 20, 32, 44, 56, 110
   * @param slope of the leaky ReLU, ≥ 0
   */
  public static Backbone cifar(int depth, float slope, int classes, long seed) {
    if (depth < 8 || depth % 6 != 2) {
      throw new IllegalArgumentException("depth must be 6k + 2 and at least 8, got " + depth);
    }
    Resnets net = new Resnets(slope);
    net.conv("conv1", 16, 3, 1);
    net.activate("act1");
    for (int stage = 0; stage < 3; stage++) {
      for (int block = 0; block < (depth - 2) / 6; block++) {
        net.block(
            "layer%d.%d".formatted(stage + 1, block), 16 << stage, stage > 0 && block == 0, false);
      }
    }
    InputSpec input =
        new InputSpec(
            3,
            32,
            32,
            new float[] {0.4914f, 0.4822f, 0.4465f},
            new float[] {0.247f, 0.2435f, 0.2616f});
    return net.finish("resnet" + depth, input, classes, seed);
  }

  /** y = act(conv2(act(conv1(x))) + shortcut(x)). */
  private void block(String name, int out, boolean down, boolean projection) {
    String x = last;
    int in = channels;
    int stride = down ? 2 : 1;
    conv(name + ".conv1", out, 3, stride);
    activate(name + ".act1");
    conv(name + ".conv2", out, 3, 1);
    String branch = last;
    String shortcut = x;
    if (down && projection) {
      shortcut = name + ".downsample";
      nodes.add(new Node(shortcut, new Layer.Conv2d(in, out, 1, 1, 2, 0), x));
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

  private void activate(String name) {
    then(name, new Layer.LeakyRelu(slope));
  }

  private void then(String name, Layer layer) {
    nodes.add(new Node(name, layer, last));
    last = name;
  }

  private Backbone finish(String name, InputSpec input, int classes, long seed) {
    String features = last;
    then("gap", new Layer.GlobalAvgPool());
    then("fc", new Layer.Linear(channels, classes));
    return new Backbone(name, input, nodes, "fc", features, List.of(), weights(seed));
  }

  private float[] weights(long seed) {
    Random random = new Random(seed); // NOTE: its sequence is specified, the same on every JDK
    List<ParameterBlock> layout = ParameterBlock.layout(nodes);
    long blocks = nodes.stream().filter(node -> node.layer() instanceof Layer.Add).count();
    float[] w0 = new float[layout.get(layout.size() - 1).end()];
    for (ParameterBlock block : layout) {
      double std = Math.sqrt(2 / ((1 + (double) slope * slope) * block.in()));
      if (block.node().endsWith(".conv2")) {
        std /= Math.sqrt((double) blocks);
      }
      for (int i = block.weightOffset(); i < block.biasOffset(); i++) {
        w0[i] = (float) (std * random.nextGaussian());
      }
    }
    return w0;
  }
}
