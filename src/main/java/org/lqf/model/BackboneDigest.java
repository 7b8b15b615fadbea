package org.lqf.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * The identity of a network: SHA-256 of a text, then of the parameters.
 *
 * <p>The text is UTF-8 with lines ended by one \n:
 *
 * <pre>
 * lqf-backbone-digest/1
 * input CHANNELS HEIGHT WIDTH mean M… std S…
 * node NAME OP ATTRIBUTE… from INPUT…      one line per node, in order
 * output NAME
 * features NAME
 * parameters COUNT
 * </pre>
 *
 * where attributes are the numbers of the {@link Layer} record in its order, and a float is the
 * eight hex digits of its IEEE 754 bits. Names hold no blanks ({@link Node}), so the text has one
 * reading. The parameters follow as little-endian IEEE 754 floats in the order of {@link
 * Backbone#blocks()}.
 */
final class BackboneDigest {

  private BackboneDigest() {}

  static String of(Backbone backbone, float[] w0) {
    MessageDigest sha;
    try {
      sha = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform must provide SHA-256", e);
    }
    sha.update(text(backbone).getBytes(StandardCharsets.UTF_8));
    ByteBuffer chunk = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN);
    for (float w : w0) {
      chunk.putFloat(w);
      if (!chunk.hasRemaining()) {
        sha.update(chunk.flip());
        chunk.clear();
      }
    }
    sha.update(chunk.flip());
    return HexFormat.of().formatHex(sha.digest());
  }

  static String text(Backbone backbone) {
    InputSpec input = backbone.input();
    StringBuilder text = new StringBuilder("lqf-backbone-digest/1\ninput ");
    text.append(input.channels())
        .append(' ')
        .append(input.height())
        .append(' ')
        .append(input.width());
    text.append(" mean")
        .append(bits(input.mean()))
        .append(" std")
        .append(bits(input.std()))
        .append('\n');
    for (Node node : backbone.nodes()) {
      text.append("node ").append(node.name()).append(' ').append(node.layer().op());
      text.append(attributes(node.layer())).append(" from");
      for (String from : node.inputs()) {
        text.append(' ').append(from);
      }
      text.append('\n');
    }
    text.append("output ").append(backbone.output()).append('\n');
    text.append("features ").append(backbone.featureNode()).append('\n');
    return text.append("parameters ").append(backbone.parameters()).append('\n').toString();
  }

  private static String attributes(Layer layer) {
    if (layer instanceof Layer.Conv2d c) {
      return numbers(
          c.inChannels(),
          c.outChannels(),
          c.kernelHeight(),
          c.kernelWidth(),
          c.stride(),
          c.padding());
    } else if (layer instanceof Layer.Linear l) {
      return numbers(l.inFeatures(), l.outFeatures());
    } else if (layer instanceof Layer.BatchNorm2d n) {
      return numbers(n.channels())
          + " "
          + HexFormat.of().toHexDigits(Double.doubleToRawLongBits(n.eps()));
    } else if (layer instanceof Layer.LeakyRelu r) {
      return bits(r.slope());
    } else if (layer instanceof Layer.MaxPool2d p) {
      return numbers(p.kernel(), p.stride(), p.padding());
    } else if (layer instanceof Layer.AvgPool2d p) {
      return numbers(p.kernel(), p.stride(), p.padding());
    } else if (layer instanceof Layer.SubsamplePadChannels s) {
      return numbers(s.stride(), s.padBefore(), s.padAfter());
    }
    return ""; // GlobalAvgPool, Add
  }

  private static String numbers(int... values) {
    StringBuilder text = new StringBuilder();
    for (int value : values) {
      text.append(' ').append(value);
    }
    return text.toString();
  }

  private static String bits(float... values) {
    StringBuilder text = new StringBuilder();
    for (float value : values) {
      text.append(' ').append(HexFormat.of().toHexDigits(Float.floatToRawIntBits(value)));
    }
    return text.toString();
  }
}
