package org.lqf.model;

import java.util.ArrayList;
import java.util.List;

/**
 * Where the weights of one conv2d or linear node lie in the flat parameter vector of a network:
 * weights [out, in] row-major (for conv2d [oc, ic·kh·kw], that is OIHW), directly followed by the
 * bias [out]. A batch norm counts as [channels, 1]: γ, then β.
 *
 * @param node name of the node
 * @param out output channels or features
 * @param in inputs of one output: ic·kh·kw for conv2d, inFeatures for linear, 1 for batch norm;
 *     without the bias
 * @param weightOffset index of the first weight, in floats
 * @param biasOffset index of the first bias, in floats; weightOffset + out·in
 */
public record ParameterBlock(String node, int out, int in, int weightOffset, int biasOffset) {

  public ParameterBlock {
    if (out < 1
        || in < 1
        || weightOffset < 0
        || biasOffset != (long) weightOffset + (long) out * in) {
      throw new IllegalArgumentException(
          "block \"%s\": [%d,%d] at %d must be followed by its bias, got bias offset %d"
              .formatted(node, out, in, weightOffset, biasOffset));
    }
  }

  /**
   * Blocks of the conv2d, linear and batch norm nodes, in node order, without gaps.
   *
   * @throws IllegalArgumentException if there are more than 2^31-1 parameters
   */
  public static List<ParameterBlock> layout(List<Node> nodes) {
    List<ParameterBlock> blocks = new ArrayList<>();
    int offset = 0;
    for (Node node : nodes) {
      int out;
      double in; // as a double it cannot overflow
      if (node.layer() instanceof Layer.Conv2d conv) {
        out = conv.outChannels();
        in = (double) conv.inChannels() * conv.kernelHeight() * conv.kernelWidth();
      } else if (node.layer() instanceof Layer.Linear linear) {
        out = linear.outFeatures();
        in = linear.inFeatures();
      } else if (node.layer() instanceof Layer.BatchNorm2d norm) {
        out = norm.channels();
        in = 1;
      } else {
        continue;
      }
      if (offset + out * (in + 1) > Integer.MAX_VALUE) {
        throw new IllegalArgumentException(
            "%s \"%s\": up to here the network has more than 2^31-1 parameters; use a smaller one"
                .formatted(node.layer().op(), node.name()));
      }
      int biasOffset = offset + out * (int) in;
      ParameterBlock block = new ParameterBlock(node.name(), out, (int) in, offset, biasOffset);
      blocks.add(block);
      offset = block.end();
    }
    return List.copyOf(blocks);
  }

  /** Weights and biases together: out · (in + 1). */
  public int size() {
    return out * (in + 1);
  }

  /** Index just after the last bias. */
  public int end() {
    return biasOffset + out;
  }
}
