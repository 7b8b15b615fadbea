package org.lqf.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.Set;
import java.util.regex.Pattern;
import org.lqf.curvature.Damping;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.Precision;
import org.lqf.engine.Winograd;
import org.lqf.model.Backbone;
import org.lqf.model.Resnets;

/**
 * What a device takes for the verbs of whole networks: medians, host clock, until the device is
 * done. Images lie on the device but for {@code predict}, which takes them from the caller's memory
 * and brings the scores back. The results of each network are compared with those of the CPU first.
 * {@code bench/gpu} runs it, beside {@code bench/gpu-peers.py}, which does the same work by
 * PyTorch.
 */
public final class NetworkOnDevice {

  private static final int WARM_UP = 3;
  private static final int LEAST = 5; // samples
  private static final double SECONDS = 0.2; // of sampling, of each row
  private static final int CLASSES = 100;
  private static final List<String> VERBS =
      List.of("inference", "jvp", "vjp", "lqf-step", "lqf-step-kept", "predict");
  private static final double RIDGE = 1e-4;

  /** What is timed. */
  @FunctionalInterface
  private interface Work {
    void run();
  }

  private final Engine engine;
  private final Precision precision;
  private final Pattern only;
  private final List<String> json;

  private NetworkOnDevice(Engine engine, Precision precision, Pattern only, List<String> json) {
    this.engine = engine;
    this.precision = precision;
    this.only = only;
    this.json = json;
  }

  /**
   * Arguments: the device, the JSON file to write, precisions with commas between, and a regular
   * expression of the names of rows.
   */
  public static void main(String[] arguments) throws IOException {
    String device = arguments[0];
    List<String> json = new ArrayList<>();
    Pattern only = Pattern.compile(arguments[3]);
    for (String name : arguments[2].split(",")) {
      Precision precision = Precision.valueOf(name.toUpperCase(Locale.ROOT));
      int threads = Runtime.getRuntime().availableProcessors();
      try (Engine engine = Engine.open(device, threads, Winograd.F2, precision)) {
        System.out.println(engine.describe());
        NetworkOnDevice run = new NetworkOnDevice(engine, precision, only, json);
        for (int n : new int[] {1, 8, 32, 128}) {
          run.verbs("resnet18", Resnets.imagenet(18, 0.1f, CLASSES, 1), n);
        }
        for (int n : new int[] {64, 512}) {
          run.verbs("resnet20", Resnets.cifar(20, 0.1f, CLASSES, 1), n);
        }
        if (precision == Precision.FP32) {
          run.curvature("resnet18", Resnets.imagenet(18, 0.1f, CLASSES, 1), 32);
        }
      }
    }
    Files.writeString(Path.of(arguments[1]), "[\n" + String.join(",\n", json) + "\n]\n");
  }

  private static float[] normals(long length, double scale) {
    Random random = new Random(length);
    float[] values = new float[Math.toIntExact(length)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (scale * random.nextGaussian());
    }
    return values;
  }

  private void verbs(String network, Backbone backbone, int n) {
    String name = network + "/b" + n;
    if (!VERBS.stream().anyMatch(verb -> only.matcher(verb + "/" + name).matches())) {
      return;
    }
    float[] images = normals((long) n * backbone.input().shape().size(), 1);
    float[] scores = new float[n * CLASSES];
    try (Plan inference = engine.compile(backbone, Set.of(), n);
        Plan plan = engine.compile(backbone, n);
        DeviceVector batch = engine.vector(images);
        DeviceVector delta = engine.vector(normals(plan.parameters(), 1e-3));
        DeviceVector outputs = engine.vector((long) n * CLASSES);
        DeviceVector targets = engine.vector(normals((long) n * CLASSES, 1));
        DeviceVector residual = engine.vector((long) n * CLASSES);
        DeviceVector gradient = engine.vector(plan.parameters())) {
      Work fromChange = () -> gradient(plan, delta, targets, outputs, residual, gradient);
      Work kept =
          () -> {
            plan.jvp(delta, residual);
            fromChange.run();
          };
      Work step =
          () -> {
            plan.forwardJvp(batch, n, delta, residual);
            fromChange.run();
          };
      if (n <= 8) {
        step.run();
        System.out.printf(
            "%s %s: gradient of a step differs from the CPU's by %.1e%n",
            name, precision, distance(onCpu(backbone, n, images, delta, targets), gradient));
      }
      time(
          "inference/" + name,
          () -> {
            inference.forward(batch, n);
            inference.outputs(outputs);
          });
      time(
          "jvp/" + name,
          () -> {
            plan.forwardJvp(batch, n, delta, residual);
            plan.outputs(outputs);
          });
      time(
          "vjp/" + name,
          () -> {
            plan.forward(batch, n);
            plan.vjp(targets, gradient.fill(0));
          });
      time("lqf-step/" + name, step);
      time("lqf-step-kept/" + name, kept);
      time("predict/" + name, () -> plan.predict(delta, images, n, scores));
    }
  }

  private void curvature(String network, Backbone backbone, int n) {
    try (Plan plan = engine.compile(backbone, n);
        DeviceVector batch = engine.vector(normals((long) n * backbone.input().shape().size(), 1));
        DeviceVector gradient = engine.vector(normals(plan.parameters(), 1));
        DeviceVector step = engine.vector(plan.parameters());
        KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.EXPAND)) {
      plan.forward(batch, n);
      time("factors/" + network + "/b" + n, () -> factors.accumulate(plan, 1, 1));
      time("inverses/" + network, () -> factors.invert(Damping.factored(0.01)));
      time("precondition/" + network, () -> factors.precondition(gradient, step));
    }
  }

  private float[] onCpu(
      Backbone backbone, int n, float[] images, DeviceVector delta, DeviceVector targets) {
    try (Engine cpu = Engine.open("cpu");
        Plan plan = cpu.compile(backbone, n);
        DeviceVector given = cpu.vector(delta.toArray());
        DeviceVector outputs = cpu.vector((long) n * CLASSES);
        DeviceVector residual = cpu.vector((long) n * CLASSES);
        DeviceVector wanted = cpu.vector(targets.toArray());
        DeviceVector gradient = cpu.vector(plan.parameters())) {
      plan.forwardJvp(images, n, given, residual);
      gradient(plan, given, wanted, outputs, residual, gradient);
      return gradient.toArray();
    }
  }

  /** Of the images of the last forward, whose J · delta is in residual. */
  private static void gradient(
      Plan plan,
      DeviceVector delta,
      DeviceVector targets,
      DeviceVector outputs,
      DeviceVector residual,
      DeviceVector gradient) {
    plan.outputs(outputs);
    residual.add(1, outputs).add(-1, targets).scale(1.0 / plan.images());
    plan.vjp(residual, gradient.set(delta).scale(RIDGE));
  }

  private static double distance(float[] expected, DeviceVector actual) {
    float[] values = actual.toArray();
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < expected.length; i++) {
      difference += Math.pow((double) expected[i] - values[i], 2);
      norm += Math.pow(expected[i], 2);
    }
    return Math.sqrt(difference / norm);
  }

  private void time(String name, Work work) {
    if (!only.matcher(name).matches()) {
      return;
    }
    for (int i = 0; i < WARM_UP; i++) {
      work.run();
    }
    engine.synchronise();
    List<Double> millis = new ArrayList<>();
    long start = System.nanoTime();
    while (millis.size() < LEAST || System.nanoTime() - start < SECONDS * 1e9) {
      long before = System.nanoTime();
      work.run();
      engine.synchronise();
      millis.add((System.nanoTime() - before) / 1e6);
    }
    millis.sort(null);
    double median = millis.get(millis.size() / 2);
    System.out.printf("%-32s %s %10.3f ms%n", name, precision, median);
    json.add(
        "  {\"name\": \"%s\", \"precision\": \"%s\", \"millis\": %.4f, \"samples\": %d}"
            .formatted(name, precision, median, millis.size()));
  }
}
