package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.lqf.engine.Numbers.assertClose;
import static org.lqf.engine.Numbers.dot;
import static org.lqf.engine.Numbers.norm;
import static org.lqf.engine.Numbers.widen;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.model.Backbone;
import org.lqf.model.Safetensors;
import org.lqf.testing.SharedData;

/** Networks that people use: both back ends against PyTorch in double, and against each other. */
class RealNetworksTest {

  private static final double BOUND = 1e-5;

  /**
   * Of derivatives. Among some hundred thousand activations one may be so near to zero that the
   * back ends find its sign differently; where none is, the error is that of {@link #BOUND}.
   */
  private static final double BOUND_WITH_KINKS = 1e-3;

  private static final int N = 2;
  private static final long SEED = 90;

  private static final Path TEST_DATA = Path.of(System.getProperty("basedir", ""), "test-data");

  private static Backbone shipped(String name) throws IOException {
    String folder = name.startsWith("resnet8") ? "tiny" : name;
    return Backbone.read(TEST_DATA.resolve(folder).resolve(name + ".json"));
  }

  /** A shared network, at a size that is quick. */
  private static Backbone shared(String name) throws IOException {
    Backbone net = Backbone.read(SharedData.require("backbones/" + name + ".json"));
    int side = Math.min(net.input().height(), 64);
    return net.withInputSize(side, side);
  }

  private static float[] outputs(String device, Backbone net, float[] images) {
    int n = images.length / net.input().shape().size();
    try (Engine engine = Engine.open(device);
        Plan plan = engine.compile(net, n);
        DeviceVector out = engine.vector((long) n * plan.classes())) {
      plan.forward(images, n);
      plan.outputs(out);
      return out.toArray();
    }
  }

  static Stream<Arguments> shippedOnDevices() {
    return Stream.of("resnet20-leaky0.1-own", "resnet8-fashion5-leaky0.1")
        .flatMap(name -> Devices.all().map(d -> Arguments.of(name, d)));
  }

  @ParameterizedTest
  @MethodSource("shippedOnDevices")
  void shippedNetworksGiveWhatTorchGives(String name, String device) throws IOException {
    Safetensors golden = Goldens.read("networks");
    float[] actual = outputs(device, shipped(name), golden.get(name + ".images").floats());
    assertClose(golden.get(name + ".f0").doubles(), actual, BOUND, name);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "resnet20-cifar10-leaky0.1",
        "resnet20-cifar10-relu",
        "resnet20-leaky0.1-own",
        "resnet32-cifar10-relu",
        "resnet44-cifar10-relu",
        "resnet56-cifar10-relu",
        "tiny-darknet-imagenet"
      })
  void sharedNetworksGiveWhatTorchGives(String name) throws IOException {
    Backbone net = shared(name);
    JsonNode golden =
        new ObjectMapper()
            .readTree(TEST_DATA.resolve("goldens/shared-backbones.json").toFile())
            .get(name);
    assertEquals(golden.get("parameters").asLong(), net.parameters());
    double[] logits = new double[golden.get("logits").size()];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = golden.get("logits").get(i).asDouble();
    }
    float[] image = images(golden.get("seed").asLong(), net.input().shape().size());
    assertClose(logits, outputs("cpu", net, image), BOUND, name);
  }

  /** The generator of check_backbones.py: Knuth's MMIX, uniform in [-2, 2). */
  private static float[] images(long seed, int size) {
    float[] values = new float[size];
    long state = seed;
    for (int i = 0; i < size; i++) {
      state = 6364136223846793005L * state + 1442695040888963407L;
      values[i] = (state >>> 40) / (float) (1 << 24) * 4 - 2;
    }
    return values;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "resnet8-fashion5-leaky0.1",
        "resnet20-leaky0.1-own",
        "shared/resnet20-cifar10-relu",
        "shared/resnet44-cifar10-relu",
        "shared/tiny-darknet-imagenet"
      })
  void backEndsAgreeAndBitsDoNotDependOnThreads(String name) throws IOException {
    String prefix = "shared/";
    Backbone net =
        name.startsWith(prefix) ? shared(name.substring(prefix.length())) : shipped(name);
    Trial trial = Trial.normal(net, N, SEED);
    float[] delta = trial.delta();
    float[] w0 = net.w0();
    for (int i = 0; i < delta.length; i++) {
      delta[i] *= w0[i]; // each layer moves by some of its own size
    }
    Verbs cpu = trial.on("cpu", 2, N, N);
    cpu.assertSameBits(trial.on("cpu", 1, N, N));
    Verbs reference = trial.on("reference", 2, N, N);
    assertClose(reference.outputs(), cpu.outputs(), BOUND, "forward");
    assertClose(reference.jvp(), cpu.jvp(), BOUND_WITH_KINKS, "jvp");
    assertClose(reference.vjp(), cpu.vjp(), BOUND_WITH_KINKS, "vjp");

    for (Verbs verbs : new Verbs[] {cpu, reference}) {
      double left = dot(widen(trial.cotangent()), verbs.jvp());
      double right = dot(widen(delta), verbs.vjp());
      assertEquals(left, right, BOUND * norm(widen(trial.cotangent())) * norm(verbs.jvp()));
    }
  }
}
