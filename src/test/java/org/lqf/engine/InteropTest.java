package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.model.Backbone;
import org.lqf.testing.TinyData;

/** A service that has its images on the device, and its results wanted there. */
class InteropTest {

  private static final int IMAGES = 3;

  static Stream<String> devices() {
    return Devices.all().filter(device -> device.equals("emulator") || device.equals("cuda"));
  }

  private static float[] normals(int length, long seed) {
    Random random = new Random(seed);
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private record Problem(Backbone net, float[] images, float[] delta) {
    static Problem tiny() {
      try {
        Backbone net = Backbone.read(TinyData.network());
        return new Problem(
            net,
            normals(IMAGES * net.input().shape().size(), 1),
            normals((int) net.parameters(), 2));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void buffersAndStreamOfAServiceGiveTheBitsOfArrays(String device) {
    Problem p = Problem.tiny();
    try (Engine service = Engine.open(device, 1); // stands for whoever owns stream and buffers
        Engine engine = Engine.open(device, service.stream(), Precision.FP32);
        Plan plan = engine.compile(p.net(), IMAGES);
        DeviceVector delta = engine.vector(p.delta());
        DeviceVector theirImages = service.vector(p.images());
        DeviceVector theirScores = service.vector((long) IMAGES * plan.classes());
        DeviceVector images = engine.vector(theirImages.buffer());
        DeviceVector scores = engine.vector(theirScores.buffer())) {
      assertEquals(service.stream(), engine.stream());
      float[] expected = new float[IMAGES * plan.classes()];
      plan.predict(delta, p.images(), IMAGES, expected);
      for (int i = 0; i < 2; i++) { // once to capture, once to replay
        theirScores.fill(0);
        plan.predict(delta, images, IMAGES, scores);
        assertArrayEquals(expected, theirScores.toArray()); // in one stream: nobody has to wait
      }
      theirImages.scale(0.5); // the same address, other images
      plan.predict(delta, images, IMAGES, scores);
      float[] halved = p.images().clone();
      for (int i = 0; i < halved.length; i++) {
        halved[i] *= 0.5f;
      }
      plan.predict(delta, halved, IMAGES, expected);
      assertArrayEquals(expected, theirScores.toArray());
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void whatOthersWriteIntoADisplacementCounts(String device) {
    Problem p = Problem.tiny();
    try (Engine engine = Engine.open(device, 1);
        Plan plan = engine.compile(p.net(), IMAGES);
        DeviceVector delta = engine.vector(p.delta());
        DeviceVector theirs = engine.vector(delta.buffer());
        DeviceVector out = engine.vector((long) IMAGES * plan.classes());
        DeviceVector half = engine.vector((long) IMAGES * plan.classes())) {
      try (DeviceVector images = engine.vector(p.images())) {
        plan.forward(images, IMAGES);
      }
      plan.jvp(delta, out);
      theirs.scale(0.5);
      plan.jvp(delta, half);
      assertArrayEquals(out.scale(0.5).toArray(), half.toArray(), 1e-4f);
      plan.forward(p.images(), IMAGES);
      DeviceVector again = engine.vector((long) IMAGES * plan.classes());
      plan.jvp(delta, again);
      assertArrayEquals(half.toArray(), again.toArray());
      again.close();
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void theDefaultStreamServesToo(String device) {
    Problem p = Problem.tiny();
    try (Engine engine = Engine.open(device, DeviceStream.of(0), Precision.FP32);
        Engine other = Engine.open(device, 1);
        Plan plan = engine.compile(p.net(), IMAGES);
        Plan same = other.compile(p.net(), IMAGES);
        DeviceVector delta = engine.vector(p.delta());
        DeviceVector delta2 = other.vector(p.delta())) {
      float[] scores = new float[IMAGES * plan.classes()];
      float[] expected = new float[IMAGES * plan.classes()];
      plan.predict(delta, p.images(), IMAGES, scores);
      same.predict(delta2, p.images(), IMAGES, expected);
      assertArrayEquals(expected, scores);
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void whatIsNoBufferOfTheDeviceIsRefused(String device) {
    try (Engine engine = Engine.open(device, 1);
        DeviceVector vector = engine.vector(64)) {
      long address = vector.buffer().address();
      assertRefused(
          "is not memory of this engine's device",
          () -> engine.vector(DeviceBuffer.of(address, 1L << 40)).close());
      assertRefused(
          "is not memory of this engine's device",
          () -> engine.vector(DeviceBuffer.of(16, 4)).close());
      Plan plan = engine.compile(Problem.tiny().net(), IMAGES);
      assertRefused("3 images", () -> plan.forward(vector, 3));
      assertRefused("n is 4, expected 1 to 3", () -> plan.forward(vector, 4));
      plan.close();
    }
    assertRefused(
        "a device buffer at 0x1004 is not aligned to 16 bytes", () -> DeviceBuffer.of(0x1004, 4));
    assertRefused("the address of a device buffer is null", () -> DeviceBuffer.of(0, 4));
    assertRefused("a device buffer of 0 floats, expected at least 1", () -> DeviceBuffer.of(16, 0));
  }

  @ParameterizedTest
  @ValueSource(strings = {"cpu", "reference"})
  void aDeviceInTheHostsMemoryHasNeither(String device) {
    assertRefused(
        "device %s has no streams; open it without one".formatted(device),
        () -> Engine.open(device, DeviceStream.of(0), Precision.FP32));
    try (Engine engine = Engine.open(device, 1);
        DeviceVector vector = engine.vector(4)) {
      assertRefused("device %s has no streams".formatted(device), engine::stream);
      assertRefused(
          "device %s computes in the host's memory; read the vector".formatted(device),
          vector::buffer);
      assertRefused(
          "device %s computes in the host's memory and has no device buffers; give it arrays"
              .formatted(device),
          () -> engine.vector(DeviceBuffer.of(1 << 12, 4)));
      engine.synchronise();
    }
  }

  @Test
  void imagesInAVectorServeOnTheCpuToo() {
    Problem p = Problem.tiny();
    try (Engine engine = Engine.open("cpu", 1);
        Plan plan = engine.compile(p.net(), IMAGES);
        DeviceVector delta = engine.vector(p.delta());
        DeviceVector images = engine.vector(p.images());
        DeviceVector scores = engine.vector((long) IMAGES * plan.classes())) {
      float[] expected = new float[IMAGES * plan.classes()];
      plan.predict(delta, p.images(), IMAGES, expected);
      plan.predict(delta, images, IMAGES, scores);
      assertArrayEquals(expected, scores.toArray());
    }
  }

  private static void assertRefused(String sentence, Executable call) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
    assertTrue(String.valueOf(e.getMessage()).contains(sentence), e::getMessage);
  }
}
