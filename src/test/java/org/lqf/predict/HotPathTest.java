package org.lqf.predict;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;
import org.lqf.model.Resnets;

/** What a service calls all day leaves nothing behind: no Java objects, no native memory. */
class HotPathTest {

  private static final int CALLS = 5000; // of a measurement
  private static final int ROUNDS = 40; // until the JIT has compiled the path
  private static final long GROWTH = 4 << 20; // a leak of 48 bytes a call would be more

  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  private static Engine engine;
  private static Plan plan;
  private static Classifier classifier;
  private static DeviceVector delta;
  private static DeviceVector gradient;
  private static DeviceVector outputs;
  private static DeviceVector images;
  private static float[] image;
  private static FloatBuffer direct;
  private static float[] scores;

  @BeforeAll
  static void open() {
    Backbone backbone = Resnets.cifar(8, 0.1f, 10, 1).withInputSize(4, 4);
    engine = Engine.open("cpu", 1);
    plan = engine.compile(backbone, 1);
    delta = engine.vector(plan.parameters()).fill(0.01);
    gradient = engine.vector(plan.parameters());
    outputs = engine.vector(plan.classes()).fill(1);
    image = new float[backbone.input().shape().size()];
    images = engine.vector(image);
    direct =
        ByteBuffer.allocateDirect(4 * image.length).order(ByteOrder.nativeOrder()).asFloatBuffer();
    scores = new float[plan.classes()];
    classifier = Classifier.open(engine, backbone, ClassifierTest.model(backbone), 1);
    plan.forward(image, 1);
  }

  @AfterAll
  static void close() {
    classifier.close();
    plan.close();
    delta.close();
    gradient.close();
    outputs.close();
    images.close();
    engine.close();
  }

  static Stream<Named<Runnable>> calls() {
    return Stream.of(
        Named.of("forward", () -> plan.forward(image, 1)),
        Named.of("forward of a direct buffer", () -> plan.forward(direct, 1)),
        Named.of("outputs", () -> plan.outputs(outputs)),
        Named.of("jvp", () -> plan.jvp(delta, outputs)),
        Named.of("vjp", () -> plan.vjp(outputs, gradient)),
        Named.of("predict", () -> plan.predict(delta, image, 1, scores)),
        Named.of("forward on the device", () -> plan.forward(images, 1)),
        Named.of("predict on the device", () -> plan.predict(delta, images, 1, outputs)),
        Named.of("set and scale", () -> gradient.set(delta).scale(0.5)),
        Named.of("add and fill", () -> gradient.fill(1).add(0.5, delta)),
        Named.of("scores", () -> classifier.scores(image, 1, scores)));
  }

  @ParameterizedTest
  @MethodSource("calls")
  void aCallAllocatesNothing(Runnable call) {
    long thread = Thread.currentThread().getId();
    double least = Double.POSITIVE_INFINITY; // bytes a call
    for (int round = 0; round < ROUNDS && least >= 1; round++) {
      long before = THREADS.getThreadAllocatedBytes(thread);
      for (int i = 0; i < CALLS; i++) {
        call.run();
      }
      long bytes = THREADS.getThreadAllocatedBytes(thread) - before;
      least = Math.min(least, bytes / (double) CALLS);
    }
    assertTrue(least < 1, least + " bytes a call");
  }

  @Test
  void aHundredThousandPredictionsDoNotGrow() throws IOException {
    predict(20_000);
    long resident = resident();
    long held = engine.memoryBytes();
    predict(100_000);
    assertEquals(held, engine.memoryBytes());
    long growth = resident() - resident;
    assertTrue(growth < GROWTH, "grew by " + growth + " bytes");
  }

  private static void predict(int times) {
    for (int i = 0; i < times; i++) {
      classifier.scores(image, 1, scores);
    }
  }

  private static long resident() throws IOException {
    String pages = Files.readString(Path.of("/proc/self/statm")).split(" ", -1)[1];
    return 4096 * Long.parseLong(pages);
  }
}
