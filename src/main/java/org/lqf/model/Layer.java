package org.lqf.model;

import java.util.List;

/**
 * One operation of a network: its attributes and its shape rule, no weights and no code.
 *
 * <p>The weights of {@link Conv2d}, {@link Linear} and {@link BatchNorm2d} live in the flat
 * parameter vector of the {@link Backbone}, see {@link ParameterBlock}. A network that is read has
 * no batch norm: it is folded; only a {@link TrainableNetwork} has. Formulas and tangent rules of
 * every layer are in {@code ops.h}.
 */
public sealed interface Layer {

  /** Name of the operation, the same word in the graph JSON, in {@code ops.h} and in messages. */
  String op();

  /**
   * Shape of the result for one image.
   *
   * @param inputs shapes of the inputs, in the order of {@link Node#inputs()}
   * @throws IllegalArgumentException if the layer cannot take them; says expected and got
   */
  Shape outputShape(List<Shape> inputs);

  /**
   * Cross-correlation with bias and zero padding: weights [outChannels, inChannels, kernelHeight,
   * kernelWidth]; oh = (ih + 2·padding − kernelHeight) / stride + 1, rounded down.
   */
  record Conv2d(
      int inChannels, int outChannels, int kernelHeight, int kernelWidth, int stride, int padding)
      implements Layer {
    public Conv2d {
      atLeast(1, "in_channels", inChannels);
      atLeast(1, "out_channels", outChannels);
      atLeast(1, "kernel height", kernelHeight);
      atLeast(1, "kernel width", kernelWidth);
      atLeast(1, "stride", stride);
      atLeast(0, "padding", padding);
    }

    @Override
    public String op() {
      return "conv2d";
    }

    @Override
    public Shape outputShape(List<Shape> inputs) {
      Shape x = only(inputs);
      if (x.channels() != inChannels) {
        throw new IllegalArgumentException(
            "weights [%d,%d,%d,%d] but input has %d channels"
                    .formatted(outChannels, inChannels, kernelHeight, kernelWidth, x.channels())
                + "; is this the backbone of the weights file?");
      }
      return new Shape(
          outChannels,
          windows(x.height(), kernelHeight, stride, padding),
          windows(x.width(), kernelWidth, stride, padding));
    }
  }

  /**
   * Fully connected layer with bias: weights [outFeatures, inFeatures]. The input is read flat in
   * the order channel, row, column.
   */
  record Linear(int inFeatures, int outFeatures) implements Layer {
    public Linear {
      atLeast(1, "in_features", inFeatures);
      atLeast(1, "out_features", outFeatures);
    }

    @Override
    public String op() {
      return "linear";
    }

    @Override
    public Shape outputShape(List<Shape> inputs) {
      Shape x = only(inputs);
      if (x.size() != inFeatures) {
        throw new IllegalArgumentException(
            "weights [%d,%d] but input %s has %d values"
                    .formatted(outFeatures, inFeatures, x, x.size())
                + "; does the input size of the network fit, is this the backbone of the weights"
                + " file?");
      }
      return new Shape(outFeatures, 1, 1);
    }
  }

  /**
   * y = x where x &gt; 0, else slope · x.
   *
   * @param slope ≥ 0; 0 is ReLU
   */
  record LeakyRelu(float slope) implements Layer {
    public LeakyRelu {
      if (!(slope >= 0) || slope == Float.POSITIVE_INFINITY) {
        throw new IllegalArgumentException(
            "negative_slope must be finite and at least 0, got " + slope);
      }
      slope += 0f; // -0.0 becomes 0.0: two ways to write ReLU must not give two digests
    }

    @Override
    public String op() {
      return "leaky_relu";
    }

    @Override
    public Shape outputShape(List<Shape> inputs) {
      return only(inputs);
    }
  }

  /**
   * y = γ (x − mean) / √(variance + eps) + β for each channel, in training mode: mean and variance
   * are those of the batch. Weights are γ [channels], the bias is β [channels].
   *
   * @param eps &gt; 0
   */
  record BatchNorm2d(int channels, double eps) implements Layer {
    public BatchNorm2d {
      atLeast(1, "channels", channels);
      if (!(eps > 0) || eps == Double.POSITIVE_INFINITY) {
        throw new IllegalArgumentException("eps must be finite and positive, got " + eps);
      }
    }

    @Override
    public String op() {
      return "batchnorm2d";
    }

    @Override
    public Shape outputShape(List<Shape> inputs) {
      Shape x = only(inputs);
      if (x.channels() != channels) {
        throw new IllegalArgumentException(
            "has %d channels but its input has %d".formatted(channels, x.channels()));
      }
      return x;
    }
  }

  /** Largest value of each square window; the first maximal index wins, padding is −∞. */
  record MaxPool2d(int kernel, int stride, int padding) implements Layer {
    public MaxPool2d {
      checkPool(kernel, stride, padding);
    }

    @Override
    public String op() {
      return "maxpool2d";
    }

    @Override
    public Shape outputShape(List<Shape> inputs) {
      return pooled(only(inputs), kernel, stride, padding);
    }
  }

  /** Mean of each square window, always over kernel² values: padding counts as zeros. */
  record AvgPool2d(int kernel, int stride, int padding) implements Layer {
    public AvgPool2d {
      checkPool(kernel, stride, padding);
    }

    @Override
    public String op() {
      return "avgpool2d";
    }

    @Override
    public Shape outputShape(List<Shape> inputs) {
      return pooled(only(inputs), kernel, stride, padding);
    }
  }

  /** Mean of each channel over all pixels: [c, h, w] → [c, 1, 1]. */
  record GlobalAvgPool() implements Layer {
    @Override
    public String op() {
      return "global_avgpool";
    }

    @Override
    public Shape outputShape(List<Shape> inputs) {
      return new Shape(only(inputs).channels(), 1, 1);
    }
  }

  /** Sum of two values of one shape: the residual connection. */
  record Add() implements Layer {
    @Override
    public String op() {
      return "add";
    }

    @Override
    public Shape outputShape(List<Shape> inputs) {
      if (inputs.size() != 2) {
        throw new IllegalArgumentException("expected two inputs, got " + inputs.size());
      }
      if (!inputs.get(0).equals(inputs.get(1))) {
        throw new IllegalArgumentException(
            "cannot add %s and %s: shapes must be equal".formatted(inputs.get(0), inputs.get(1)));
      }
      return inputs.get(0);
    }
  }

  /**
   * Parameter-free shortcut ("option A", He et al. 2016 §4.2): every stride-th pixel from the first
   * on, with zero channels put before and after.
   */
  record SubsamplePadChannels(int stride, int padBefore, int padAfter) implements Layer {
    public SubsamplePadChannels {
      atLeast(1, "stride", stride);
      atLeast(0, "pad_before", padBefore);
      atLeast(0, "pad_after", padAfter);
    }

    @Override
    public String op() {
      return "subsample_pad_channels";
    }

    @Override
    public Shape outputShape(List<Shape> inputs) {
      Shape x = only(inputs);
      long channels = (long) padBefore + x.channels() + padAfter;
      if (channels > Integer.MAX_VALUE) {
        throw new IllegalArgumentException(
            "%d + %d + %d channels are too many".formatted(padBefore, x.channels(), padAfter));
      }
      return new Shape((int) channels, (x.height() - 1) / stride + 1, (x.width() - 1) / stride + 1);
    }
  }

  private static void atLeast(int least, String what, int value) {
    if (value < least) {
      throw new IllegalArgumentException(what + " must be at least " + least + ", got " + value);
    }
  }

  private static void checkPool(int kernel, int stride, int padding) {
    atLeast(1, "kernel", kernel);
    atLeast(1, "stride", stride);
    atLeast(0, "padding", padding);
    if (padding > kernel / 2) { // a window must contain a pixel
      throw new IllegalArgumentException(
          "padding must be at most half the kernel %d, got %d".formatted(kernel, padding));
    }
  }

  private static Shape only(List<Shape> inputs) {
    if (inputs.size() != 1) {
      throw new IllegalArgumentException("expected one input, got " + inputs.size());
    }
    return inputs.get(0);
  }

  private static Shape pooled(Shape x, int kernel, int stride, int padding) {
    return new Shape(
        x.channels(),
        windows(x.height(), kernel, stride, padding),
        windows(x.width(), kernel, stride, padding));
  }

  private static int windows(int extent, int kernel, int stride, int padding) {
    long slack = extent + 2L * padding - kernel;
    if (slack < 0) {
      throw new IllegalArgumentException(
          "kernel %d is larger than the padded input %d + 2·%d; choose a larger input size"
              .formatted(kernel, extent, padding));
    }
    return (int) Math.min(slack / stride + 1, Integer.MAX_VALUE); // Shape refuses the largest
  }
}
