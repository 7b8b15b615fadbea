package org.lqf.bench.peers;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.lqf.model.Backbone;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Shape;

/**
 * A backbone as an ONNX model (opset 13), with a free batch size. Source of the field numbers:
 * onnx.proto of the ONNX project.
 */
final class OnnxFile {

  static final String INPUT = "image";
  static final String OUTPUT = "scores";

  private static final int FLOAT = 1;
  private static final int INT64 = 7;

  private final Backbone backbone;
  private final Message graph = new Message();

  private OnnxFile(Backbone backbone) {
    this.backbone = backbone;
  }

  static byte[] of(Backbone backbone) {
    return new OnnxFile(backbone).bytes();
  }

  private byte[] bytes() {
    for (Node node : backbone.nodes()) {
      node(node);
    }
    Shape image = backbone.input().shape();
    graph.text(2, backbone.name());
    graph.message(11, value(INPUT, image.channels(), image.height(), image.width()));
    graph.message(12, value(OUTPUT, backbone.outputShape().channels()));
    return new Message()
        .number(1, 8) // IR version
        .message(8, new Message().text(1, "").number(2, 13))
        .message(7, graph)
        .bytes();
  }

  private void node(Node node) {
    Layer layer = node.layer();
    String x = node.inputs().get(0);
    x = x.equals(Node.INPUT) ? INPUT : x;
    String y = node.name().equals(backbone.output()) ? OUTPUT : node.name();
    if (layer instanceof Layer.Conv2d conv) {
      weights(
          node.name(),
          conv.outChannels(),
          conv.inChannels(),
          conv.kernelHeight(),
          conv.kernelWidth());
      graph.message(
          1,
          op("Conv", y, x, node.name() + ".weight", node.name() + ".bias")
              .message(5, ints("kernel_shape", conv.kernelHeight(), conv.kernelWidth()))
              .message(5, ints("strides", conv.stride(), conv.stride()))
              .message(5, pads(conv.padding())));
    } else if (layer instanceof Layer.Linear linear) {
      weights(node.name(), linear.outFeatures(), linear.inFeatures());
      graph.message(1, op("Flatten", y + ".flat", x));
      graph.message(
          1,
          op("Gemm", y, y + ".flat", node.name() + ".weight", node.name() + ".bias")
              .message(5, new Message().text(1, "transB").number(3, 1).number(20, 2)));
    } else if (layer instanceof Layer.LeakyRelu relu) {
      graph.message(
          1,
          op("LeakyRelu", y, x)
              .message(5, new Message().text(1, "alpha").real(2, relu.slope()).number(20, 1)));
    } else if (layer instanceof Layer.MaxPool2d pool) {
      graph.message(
          1,
          op("MaxPool", y, x)
              .message(5, ints("kernel_shape", pool.kernel(), pool.kernel()))
              .message(5, ints("strides", pool.stride(), pool.stride()))
              .message(5, pads(pool.padding())));
    } else if (layer instanceof Layer.GlobalAvgPool) {
      graph.message(1, op("GlobalAveragePool", y, x));
    } else if (layer instanceof Layer.Add) {
      graph.message(1, op("Add", y, x, node.inputs().get(1)));
    } else if (layer instanceof Layer.SubsamplePadChannels shortcut) {
      subsample(node.name(), x, y, shortcut);
    } else {
      throw new IllegalArgumentException("no ONNX operator for " + layer);
    }
  }

  private void subsample(String name, String x, String y, Layer.SubsamplePadChannels shortcut) {
    integers(name + ".starts", 0, 0);
    integers(name + ".ends", Integer.MAX_VALUE, Integer.MAX_VALUE);
    integers(name + ".axes", 2, 3);
    integers(name + ".steps", shortcut.stride(), shortcut.stride());
    integers(name + ".pads", 0, shortcut.padBefore(), 0, 0, 0, shortcut.padAfter(), 0, 0);
    graph.message(
        1,
        op(
            "Slice",
            name + ".small",
            x,
            name + ".starts",
            name + ".ends",
            name + ".axes",
            name + ".steps"));
    graph.message(1, op("Pad", y, name + ".small", name + ".pads"));
  }

  private void weights(String name, int out, int in, long... kernel) {
    ParameterBlock block =
        backbone.blocks().stream().filter(b -> b.node().equals(name)).findFirst().orElseThrow();
    Message weight = new Message().number(1, out).number(1, in);
    for (long extent : kernel) {
      weight.number(1, extent);
    }
    initialiser(weight, name + ".weight", block.weightOffset(), block.biasOffset());
    initialiser(new Message().number(1, out), name + ".bias", block.biasOffset(), block.end());
  }

  private void initialiser(Message dims, String name, int from, int to) {
    ByteBuffer raw = ByteBuffer.allocate(4 * (to - from)).order(ByteOrder.LITTLE_ENDIAN);
    raw.asFloatBuffer().put(backbone.w0(), from, to - from);
    graph.message(5, dims.number(2, FLOAT).text(8, name).bytes(9, raw.array()));
  }

  private void integers(String name, long... values) {
    ByteBuffer raw = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    raw.asLongBuffer().put(values);
    graph.message(
        5,
        new Message()
            .number(1, values.length)
            .number(2, INT64)
            .text(8, name)
            .bytes(9, raw.array()));
  }

  private static Message op(String type, String output, String... inputs) {
    Message node = new Message();
    for (String input : inputs) {
      node.text(1, input);
    }
    return node.text(2, output).text(3, output).text(4, type);
  }

  private static Message pads(int padding) {
    return ints("pads", padding, padding, padding, padding);
  }

  private static Message ints(String name, long... values) {
    Message attribute = new Message().text(1, name);
    for (long value : values) {
      attribute.number(8, value);
    }
    return attribute.number(20, 7);
  }

  private static Message value(String name, long... extents) {
    Message shape = new Message().message(1, new Message().text(2, "n"));
    for (long extent : extents) {
      shape.message(1, new Message().number(1, extent));
    }
    Message tensor = new Message().number(1, FLOAT).message(2, shape);
    return new Message().text(1, name).message(2, new Message().message(1, tensor));
  }

  /** A protobuf message in the making: tag, then payload. */
  private static final class Message {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    Message number(int field, long value) {
      varint(field << 3);
      varint(value);
      return this;
    }

    Message real(int field, float value) {
      varint(field << 3 | 5);
      out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(value).array());
      return this;
    }

    Message bytes(int field, byte[] value) {
      varint(field << 3 | 2);
      varint(value.length);
      out.writeBytes(value);
      return this;
    }

    Message text(int field, String value) {
      return bytes(field, value.getBytes(StandardCharsets.UTF_8));
    }

    Message message(int field, Message value) {
      return bytes(field, value.bytes());
    }

    byte[] bytes() {
      return out.toByteArray();
    }

    private void varint(long value) {
      long rest = value;
      while ((rest & ~0x7FL) != 0) {
        out.write((int) (rest & 0x7F | 0x80));
        rest >>>= 7;
      }
      out.write((int) rest);
    }
  }
}
