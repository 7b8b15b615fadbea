package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lqf.binding.Lqf;
import org.lqf.binding.LqfNode;
import org.lqf.binding.LqfPlan;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.Layer;
import org.lqf.model.Node;

/** What a plan refuses, and that it says what it expected. */
class PlanErrorsTest {

  private static final int MAX = 3;

  private final Backbone net = Goldens.kinds();
  private final int image = net.input().shape().size();
  private final Engine engine = Engine.open("cpu", 1);
  private final Plan plan = engine.compile(net, MAX);
  private final DeviceVector delta = engine.vector(plan.parameters());
  private final DeviceVector out = engine.vector(MAX * plan.classes());

  @AfterEach
  void close() {
    plan.close();
    engine.close();
  }

  private static void refuses(
      Class<? extends RuntimeException> kind, Executable call, String... said) {
    String message = assertThrows(kind, call).getMessage();
    for (String part : said) {
      assertTrue(message.contains(part), () -> "\"" + part + "\" is not in: " + message);
    }
  }

  private static void refuses(Executable call, String... said) {
    refuses(IllegalArgumentException.class, call, said);
  }

  @Test
  void batchesOfAWrongSize() {
    float[] images = new float[MAX * image];
    float[] scores = new float[MAX * plan.classes()];
    refuses(() -> plan.forward(images, 0), "n is 0", "1 to 3");
    refuses(() -> plan.forward(images, 4), "n is 4", "1 to 3");
    refuses(() -> plan.forward(images, -1), "n is -1");
    refuses(() -> plan.predict(delta, images, 4, scores), "n is 4");
    refuses(() -> plan.forwardJvp(images, 4, delta, out), "n is 4");
    refuses(() -> plan.forward(new float[2 * image - 1], 2), "[3,13,11]", "858", "857");
    refuses(() -> plan.predict(delta, images, 3, new float[11]), "12", "11");
    FloatBuffer heap = FloatBuffer.wrap(images);
    refuses(() -> plan.forward(heap, 1), "direct");
    refuses(() -> plan.forwardJvp(heap, 1, delta, out), "direct");
    ByteBuffer direct = ByteBuffer.allocateDirect(Float.BYTES * image);
    ByteOrder swapped =
        ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN
            ? ByteOrder.BIG_ENDIAN
            : ByteOrder.LITTLE_ENDIAN;
    refuses(() -> plan.forward(direct.order(swapped).asFloatBuffer(), 1), "byte order");
    FloatBuffer late = direct.order(ByteOrder.nativeOrder()).asFloatBuffer().position(1);
    refuses(() -> plan.forward(late, 1), "429", "428");
  }

  @Test
  void vectorsOfAWrongLength() {
    plan.forward(new float[MAX * image], MAX);
    DeviceVector few = engine.vector(MAX * plan.classes() - 1);
    DeviceVector long1 = engine.vector(plan.parameters() + 1);
    refuses(() -> plan.outputs(few), "out", "12", "11");
    refuses(() -> plan.jvp(delta, few), "out", "12", "11");
    refuses(() -> plan.jvp(long1, out), "delta", "8813", "8814", "kinds");
    refuses(() -> plan.jvp(delta, delta), "out is delta");
    float[] images = new float[MAX * image];
    refuses(() -> plan.forwardJvp(images, MAX, delta, few), "out", "12", "11");
    refuses(() -> plan.forwardJvp(images, MAX, long1, out), "delta", "8813", "8814");
    DeviceVector there = engine.vector(MAX * image);
    refuses(() -> plan.forwardJvp(there, MAX, there, out), "delta", "8813", "1287");
    refuses(() -> plan.forwardJvp(few, MAX, delta, out), "[3,13,11]", "1287", "11");
    refuses(() -> plan.vjp(few, delta), "cotangent", "12", "11");
    refuses(() -> plan.vjp(out, long1), "gradient", "8813", "8814");
    refuses(() -> plan.jacobian(delta), "rows", "105756", "8813");
    refuses(() -> plan.setParameters(long1), "parameters", "8813", "8814");
    refuses(() -> plan.forwardJvp(there, MAX, delta, there), "out is images");
  }

  @Test
  void vectorsOfAnotherEngine() {
    plan.forward(new float[image], 1);
    try (Engine other = Engine.open("cpu", 1);
        DeviceVector foreignDelta = other.vector(plan.parameters());
        DeviceVector foreignImage = other.vector(image);
        DeviceVector foreignOut = other.vector(plan.classes())) {
      refuses(() -> plan.jvp(foreignDelta, out), "delta", "another engine");
      refuses(() -> plan.jvp(delta, foreignOut), "out", "another engine");
      refuses(() -> plan.vjp(foreignOut, delta), "cotangent", "another engine");
      float[] one = new float[image];
      refuses(() -> plan.forwardJvp(foreignImage, 1, delta, out), "images", "another engine");
      refuses(() -> plan.forwardJvp(one, 1, foreignDelta, out), "delta", "another engine");
      refuses(() -> plan.forwardJvp(one, 1, delta, foreignOut), "out", "another engine");
      plan.forward(one, 1); // a refused walk keeps no images
      refuses(() -> plan.setParameters(foreignDelta), "parameters", "another engine");
      refuses(
          () -> plan.predict(foreignDelta, new float[image], 1, new float[4]), "another engine");
    }
  }

  @Test
  void verbsBeforeForward() {
    refuses(IllegalStateException.class, () -> plan.outputs(out), "forward");
    refuses(IllegalStateException.class, () -> plan.jvp(delta, out), "forward");
    refuses(IllegalStateException.class, () -> plan.vjp(out, delta), "forward");
    refuses(IllegalStateException.class, () -> plan.jacobian(out), "forward");
    plan.forward(new float[image], 1);
    plan.setParameters(delta);
    refuses(IllegalStateException.class, () -> plan.jvp(delta, out), "setParameters");
  }

  @Test
  void aFailedCallChangesNothing() {
    plan.forward(Numbers.normal(image, 1), 1);
    plan.outputs(out);
    float[] before = out.toArray();
    refuses(() -> plan.forward(new float[1], 1), "429");
    refuses(() -> plan.predict(delta, new float[1], 1, new float[4]), "429");
    refuses(() -> plan.forwardJvp(new float[1], 1, delta, out), "429");
    assertEquals(1, plan.images());
    plan.outputs(out.fill(0));
    assertArrayEquals(before, out.toArray());
  }

  @Test
  void everythingOnceClosed() {
    plan.close();
    refuses(IllegalStateException.class, () -> plan.forward(new float[image], 1), "Plan is closed");
    refuses(IllegalStateException.class, plan::describe, "Plan is closed");
    refuses(IllegalStateException.class, plan::memoryBytes, "Plan is closed");
    try (Plan open = engine.compile(net, 1)) {
      open.forward(new float[image], 1);
      delta.close();
      refuses(IllegalStateException.class, () -> open.jvp(delta, out), "DeviceVector is closed");
      engine.close(); // what it made goes on
      open.outputs(out);
    }
    refuses(IllegalStateException.class, () -> engine.compile(net, 1), "Engine is closed");
  }

  @Test
  void networksThatItCannotCompile() {
    refuses(() -> engine.compile(net, 0), "max_batch is 0");
    refuses(
        () -> engine.compile(net, Set.of("fc", "stem.act1", "no"), 1), "no, stem.act1", "kinds");
    Backbone open =
        new Backbone(
            "open",
            InputSpec.raw(1, 4, 4),
            List.of(new Node("conv", new Layer.Conv2d(1, 2, 3, 3, 1, 0), Node.INPUT)),
            "conv",
            Node.INPUT,
            List.of(),
            new float[20]);
    refuses(() -> engine.compile(open, 1), "\"conv\"", "[2,2,2]", "[classes,1,1]");
  }

  /**
   * Backbone refuses these first; the border must not trust it. Every op reads an image [3,4,4].
   */
  @ParameterizedTest
  @CsvSource({
    // op, in0, in1, out, kh, kw, stride, pad, slope, offset, said
    "0, -1, -1, 2, 5, 3, 1, 0, 0, 0, smaller than the kernel 5x3",
    "0, -1, -1, 2, 0, 3, 1, 0, 0, 0, kernel 0x3",
    "0, -1, -1, 2, 3, 3, 0, 0, 0, 0, stride 0",
    "0, -1, -1, 2, 3, 3, 1, -1, 0, 0, padding -1",
    "0, -1, -1, 0, 3, 3, 1, 1, 0, 0, 0 output channels",
    "0, -1, -1, 4, 3, 3, 1, 1, 0, 0, do not fit 100 parameters",
    "0, -1, -1, 2, 3, 3, 1, 1, 0, -1, do not fit 100 parameters",
    "0, -1, -1, 2, 3, 3, 1, 1, 3, 0, 'unit 3, expected a power of two'", // likewise the unit
    "1, -1, -1, 3, 0, 0, 0, 0, 0, 0, do not fit 100 parameters",
    "2, -1, -1, 0, 0, 0, 0, 0, -1, 0, slope -1",
    "2, -1, -1, 0, 0, 0, 0, 0, NaN, 0, slope nan",
    "3, -1, -1, 0, 5, 5, 1, 0, 0, 0, smaller than the kernel 5x5",
    "3, -1, -1, 0, 2, 2, 1, 2, 0, 0, padding 2 is not smaller than the kernel",
    "4, -1, -1, 0, 2, 2, 0, 0, 0, 0, stride 0",
    "7, -1, -1, 0, 0, 0, 0, 0, 0, 0, stride 0",
    "8, -1, -1, 0, 0, 0, 0, 0, 0, 0, 'epsilon 0, expected > 0'", // what is the slope of others
    "8, -1, -1, 0, 0, 0, 0, 0, 1, 98, gamma at 98 and beta at 90 do not fit 100 parameters",
    "9, -1, -1, 0, 0, 0, 0, 0, 0, 0, unknown op 9",
    "2, 0, -1, 0, 0, 0, 0, 0, 0, 0, not an earlier node",
    "6, -1, 0, 0, 0, 0, 0, 0, 0, 0, not an earlier node",
    "2, -1, -1, 0, 0, 0, 0, 0, 0, 0, '\"odd\" has shape [3,4,4], expected [classes,1,1]'",
  })
  void nodesThatTheBorderRefuses(
      int op,
      int in0,
      int in1,
      int out,
      int kh,
      int kw,
      int stride,
      int pad,
      float slope,
      long offset,
      String said) {
    try (LqfNode node = new LqfNode(1);
        DeviceVector parameters = engine.vector(100)) {
      node.op(op).input0(in0).input1(in1).out_channels(out).kernel_h(kh).kernel_w(kw);
      node.stride(stride).padding(pad).pad_before(0).pad_after(0).linearised(1).slope(slope);
      node.weight_offset(offset).bias_offset(90).epsilon(slope).unit(slope == 0 ? 1 : slope);
      LqfPlan unused = new LqfPlan();
      int status =
          Lqf.lqf_plan_compile(
              engine.pointer, node, 1, "odd\n", 3, 4, 4, parameters.pointer, 1, unused);
      String text = Lqf.lqf_last_error().getString();
      assertEquals(Lqf.LQF_INVALID, status);
      assertTrue(text.contains(said), text);
      assertTrue(text.contains("\"odd\"") || text.startsWith("node 0:"), text);
      assertTrue(unused.isNull());
    }
  }
}
