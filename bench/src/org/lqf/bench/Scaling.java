package org.lqf.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.Resnets;
import org.lqf.solve.Progress;
import org.lqf.tune.Layers;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;
import org.lqf.tune.Solver;
import org.lqf.tune.TrainingFiles;
import org.lqf.tune.TrainingListener;
import org.lqf.tune.TuningPlan;

/**
 * How an LQF step (forward with jvp, vjp) and a training grow; {@code bench/scaling} runs it.
 *
 * <p>Every row is a process of its own, so that its peak resident memory is its own. A step's
 * prediction is the process before it has this plan, what the plan says of itself and two vectors;
 * a training's is that of {@code lqf plan}.
 */
public final class Scaling {

  private static final int SAMPLES = 7;
  private static final double SECONDS = 4; // of sampling, at most
  private static final int ITERATIONS = 5; // of the trainings

  /**
   * One row.
   *
   * @param varied the column in which rows of a series differ
   * @param images of a training; 0: steps alone
   */
  private record Setting(
      String network,
      String varied,
      int batch,
      int pixels,
      int classes,
      String layers,
      int threads,
      int images) {

    static Setting parse(String text) {
      String[] f = text.split(";");
      return new Setting(
          f[0],
          f[1],
          Integer.parseInt(f[2]),
          Integer.parseInt(f[3]),
          Integer.parseInt(f[4]),
          f[5],
          Integer.parseInt(f[6]),
          Integer.parseInt(f[7]));
    }

    String text(String separator) {
      return String.join(
          separator,
          List.of(
              network,
              varied,
              Integer.toString(batch),
              Integer.toString(pixels),
              Integer.toString(classes),
              layers,
              Integer.toString(threads),
              Integer.toString(images)));
    }
  }

  /** What a child measured; bytes are of the whole process. */
  private record Row(double millisPerImage, long predicted, long measured) {}

  private Scaling() {}

  /** Arguments: the CSV file, and a network to leave out the other; or a child's setting. */
  public static void main(String[] arguments) throws Exception {
    if (arguments[0].equals("--child")) {
      Setting setting = Setting.parse(arguments[1]);
      Row row = setting.images > 0 ? training(setting) : step(setting);
      System.out.println(row.millisPerImage + " " + row.predicted + " " + row.measured);
      return;
    }
    int processors = Runtime.getRuntime().availableProcessors();
    List<Setting> settings = new ArrayList<>();
    series(settings, "resnet18", new int[] {1, 2, 4, 8, 16, 32}, 8, new int[] {112, 160, 224, 288});
    series(settings, "resnet20", new int[] {1, 16, 64, 256}, 64, new int[] {16, 32, 64});
    for (int perClass : new int[] {10, 20, 50, 100}) {
      settings.add(new Setting("resnet20", "images", 0, 28, 10, "all", processors, 10 * perClass));
    }
    Machine.describe().forEach(System.out::println);
    List<String> csv = new ArrayList<>();
    csv.add(
        "network,varied,batch,pixels,classes,layers,threads,images,"
            + "millis_per_image,predicted_bytes,measured_bytes");
    System.out.printf(
        "%-9s %-8s %5s %6s %7s %8s %7s %6s %9s %12s %11s %6s%n",
        "network",
        "varied",
        "batch",
        "pixels",
        "classes",
        "layers",
        "threads",
        "images",
        "ms/image",
        "predicted MB",
        "measured MB",
        "ratio");
    for (Setting s : settings) {
      if (arguments.length > 1 && !s.network.equals(arguments[1])) {
        continue;
      }
      Row row = child(s);
      csv.add(
          s.text(",") + ",%.4f,%d,%d".formatted(row.millisPerImage, row.predicted, row.measured));
      System.out.printf(
          "%-9s %-8s %5d %6d %7d %8s %7d %6d %9.3f %12d %11d %6.2f%n",
          s.network,
          s.varied,
          s.batch,
          s.pixels,
          s.classes,
          s.layers,
          s.threads,
          s.images,
          row.millisPerImage,
          row.predicted >> 20,
          row.measured >> 20,
          row.measured / (double) row.predicted);
    }
    Files.write(Path.of(arguments[0]), csv);
  }

  private static void series(
      List<Setting> to, String network, int[] batches, int batch, int[] sizes) {
    int pixels = network.equals("resnet18") ? 224 : 32;
    int threads = Runtime.getRuntime().availableProcessors();
    for (int b : batches) {
      to.add(new Setting(network, "batch", b, pixels, 100, "all", threads, 0));
    }
    for (int size : sizes) {
      to.add(new Setting(network, "pixels", batch, size, 100, "all", threads, 0));
    }
    for (int classes : new int[] {2, 10, 1000}) {
      to.add(new Setting(network, "classes", batch, pixels, classes, "all", threads, 0));
    }
    for (String layers : new String[] {"last-1", "last-5", "last-10", "last-15"}) {
      to.add(new Setting(network, "layers", batch, pixels, 100, layers, threads, 0));
    }
    for (int t = 1; t <= threads; t *= 2) {
      to.add(new Setting(network, "threads", batch, pixels, 100, "all", t, 0));
    }
  }

  private static Row child(Setting setting) throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
                "-cp",
                System.getProperty("java.class.path"),
                Scaling.class.getName(),
                "--child",
                setting.text(";"))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IOException(setting + " failed: " + text);
    }
    String[] parts = text.strip().split(" ");
    return new Row(
        Double.parseDouble(parts[0]), Long.parseLong(parts[1]), Long.parseLong(parts[2]));
  }

  private static Row step(Setting s) throws Exception {
    Backbone network =
        s.network.equals("resnet18")
            ? Resnets.imagenet(18, 0.1f, s.classes, 1)
            : Resnets.cifar(20, 0.1f, s.classes, 1);
    Backbone sized = network.withInputSize(s.pixels, s.pixels);
    float[] images = new float[s.batch * sized.input().shape().size()];
    Random random = new Random(1);
    for (int i = 0; i < images.length; i++) {
      images[i] = random.nextFloat() - 0.5f;
    }
    try (Engine engine = Engine.open("cpu", s.threads)) {
      try (Plan one = engine.compile(sized, 1)) { // loads what any step needs
        one.forward(images, 1);
      }
      long before = Machine.status("VmRSS");
      try (Plan plan = engine.compile(sized, Layers.parse(s.layers).of(sized), s.batch);
          DeviceVector delta = engine.vector(plan.parameters()).fill(1e-4);
          DeviceVector gradient = engine.vector(plan.parameters());
          DeviceVector outputs = engine.vector((long) s.batch * s.classes)) {
        CleanTiming.Work work =
            () -> {
              plan.forwardJvp(images, s.batch, delta, outputs);
              plan.vjp(outputs, gradient);
            };
        double seconds =
            new CleanTiming(s.threads, SAMPLES, SECONDS)
                .of(Map.of("step", work))
                .get("step")
                .median();
        return new Row(
            1e3 * seconds / s.batch, before + engine.memoryBytes(), Machine.status("VmHWM"));
      }
    }
  }

  /** Conjugate gradients on shipped images: the time of a pass. */
  private static Row training(Setting s) throws IOException {
    Backbone backbone =
        Backbone.read(Path.of("test-data/resnet20-leaky0.1-own/resnet20-leaky0.1-own.json"));
    ImageFolder images =
        ImageFolder.read(Path.of("test-data/fashion10/train")).limitPerClass(s.images / s.classes);
    List<Long> times = new ArrayList<>(); // System.nanoTime() after each iteration
    TuningPlan[] plan = new TuningPlan[1];
    TrainingListener listener =
        new TrainingListener() {
          @Override
          public void plan(TuningPlan planned) {
            plan[0] = planned;
          }

          @Override
          public void step(Progress.Step step) {
            times.add(System.nanoTime());
          }
        };
    LqfConfig config =
        LqfConfig.defaults().withSize(s.pixels).withSolver(Solver.CG).withIterations(ITERATIONS);
    try (Engine engine = Engine.open("cpu", s.threads)) {
      LqfTrainer.train(engine, backbone, images, config, listener, TrainingFiles.NONE);
    }
    double[] passes = new double[times.size() - 1];
    for (int i = 0; i < passes.length; i++) {
      passes[i] = (times.get(i + 1) - times.get(i)) / 1e6;
    }
    Arrays.sort(passes);
    return new Row(
        passes[passes.length / 2] / images.size(), plan[0].peakBytes(), Machine.status("VmHWM"));
  }
}
