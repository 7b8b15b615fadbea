package org.lqf.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.lqf.engine.Engine;
import org.lqf.explain.Audit;
import org.lqf.explain.Dual;
import org.lqf.explain.FittedModel;
import org.lqf.image.ImageFile;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.Classifier;
import org.lqf.predict.Evaluation;
import org.lqf.solve.Progress;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;
import org.lqf.tune.Solver;
import org.lqf.tune.TrainingFiles;
import org.lqf.tune.TrainingImages;
import org.lqf.tune.TrainingListener;

/**
 * Flips labels on purpose and asks the audit for them: area under the curve of its ranking, test
 * accuracy before and after what it flags is removed, and what leave-one-out costs beside a
 * training.
 *
 * <p>Images are copied into folders per class, so that every training is one from scratch, linear
 * probe included. Prints name,value lines.
 */
public final class LabelErrors {

  private final Engine engine;
  private final Backbone backbone;
  private final ImageFolder test;
  private final Path scratch;
  private final LqfConfig config;

  private LabelErrors(
      Engine engine, Backbone backbone, ImageFolder test, Path scratch, LqfConfig config) {
    this.engine = engine;
    this.backbone = backbone;
    this.test = test;
    this.scratch = scratch;
    this.config = config;
  }

  /** Time of one piece of work: of the solver alone, the Gram matrix included, or of the audit. */
  private static final class SolverClock implements TrainingListener {
    private long start;
    private long cpuStart;

    @Override
    public void phase(String name) { // solving is the last one
      start = System.nanoTime();
      cpuStart = cpuNanos();
    }

    void print(String what) {
      LabelErrors.print(what + "Seconds", (System.nanoTime() - start) / 1e9);
      LabelErrors.print(what + "CpuSeconds", (cpuNanos() - cpuStart) / 1e9);
    }

    /** Of all threads; on a busy machine it says more than the clock. */
    private static long cpuNanos() {
      var system =
          (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
      return system.getProcessCpuTime();
    }
  }

  /** Arguments: graph of the network, train and test folder, images per class, pixels, seed. */
  public static void main(String[] args) throws IOException {
    Backbone backbone = Backbone.read(Path.of(args[0]));
    ImageFolder train = ImageFolder.read(Path.of(args[1])).limitPerClass(Integer.parseInt(args[3]));
    ImageFolder test = ImageFolder.readLike(Path.of(args[2]), train.classes());
    LqfConfig config =
        LqfConfig.defaults().withSolver(Solver.GRAM).withSize(Integer.parseInt(args[4]));
    long seed = Long.parseLong(args[5]);
    Path scratch = Files.createTempDirectory("lqf-label-errors");
    try (Engine engine = Engine.open("auto")) {
      new LabelErrors(engine, backbone, test, scratch, config).run(train, 0.05, seed);
    } finally {
      try (Stream<Path> files = Files.walk(scratch)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }

  private void run(ImageFolder clean, double part, long seed) throws IOException {
    print("images", clean.size());
    print("testImages", test.size());
    SplittableRandom random = new SplittableRandom(seed);
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < clean.size(); i++) {
      order.add(random.nextInt(i + 1), i);
    }
    Set<String> flipped = new HashSet<>(); // relative names in the flipped folder
    int[] labels = clean.labels();
    int classes = clean.classes().size();
    int flips = (int) Math.round(part * clean.size());
    for (int i : order.subList(0, flips)) {
      labels[i] = (labels[i] + 1 + random.nextInt(classes - 1)) % classes;
      flipped.add(name(clean, i, labels[i]));
    }
    ImageFolder wrong = copy("flipped", clean, labels);
    print("flipped", flips);

    SolverClock clock = new SolverClock();
    LinearisedModel model =
        LqfTrainer.train(engine, backbone, wrong, config, clock, TrainingFiles.NONE).model();
    clock.print("gramSolve");
    print("accuracyWithErrors", accuracy(model));

    clock.phase("leave-one-out");
    Backbone network = model.attach(backbone);
    TrainingImages samples =
        TrainingImages.of(model, network, wrong, config.readers(), TrainingListener.NONE);
    try (FittedModel fitted = FittedModel.open(engine, backbone, model, samples, samples.batch());
        Dual dual = Dual.of(fitted, Progress.NONE)) {
      Audit audit = Audit.of(dual);
      clock.print("dualAndLeaveOneOut");
      print("leaveOneOutAccuracy", audit.leaveOneOut().accuracy());
      boolean[] isFlipped = new boolean[wrong.size()];
      for (int i = 0; i < isFlipped.length; i++) {
        isFlipped[i] = flipped.contains(wrong.images().get(i).relativeName());
      }
      print("areaUnderCurve", Audit.areaUnderCurve(audit.suspects(), isFlipped));
      List<Integer> flagged =
          audit.suspects().stream().filter(i -> audit.leaveOneOut().margin(i) < 0).toList();
      print("flagged", flagged.size());
      print("flaggedThatWereFlipped", flagged.stream().filter(i -> isFlipped[i]).count());
      print(
          "flippedAmongTheFirst" + flips,
          audit.suspects().subList(0, flips).stream().filter(i -> isFlipped[i]).count());
      print("accuracyWithoutFlagged", accuracy(train(without("kept", wrong, flagged))));
    }
    print("accuracyWithoutErrors", accuracy(train(copy("clean", clean, clean.labels()))));
  }

  private LinearisedModel train(ImageFolder images) throws IOException {
    return LqfTrainer.tune(engine, backbone, images, config);
  }

  private double accuracy(LinearisedModel model) throws IOException {
    try (Classifier classifier = Classifier.open(engine, backbone, model, 32)) {
      return Evaluation.of(classifier, test, Evaluation.Progress.NONE).accuracy();
    }
  }

  private ImageFolder without(String name, ImageFolder images, List<Integer> removed)
      throws IOException {
    int[] labels = images.labels();
    removed.forEach(i -> labels[i] = -1);
    return copy(name, images, labels);
  }

  /** Copies the images into folders of these labels; −1 leaves one out. */
  private ImageFolder copy(String name, ImageFolder images, int[] labels) throws IOException {
    Path root = scratch.resolve(name);
    for (int i = 0; i < labels.length; i++) {
      if (labels[i] >= 0) {
        Path target = root.resolve(name(images, i, labels[i]));
        Files.createDirectories(target.getParent());
        Files.copy(images.images().get(i).path(), target);
      }
    }
    return ImageFolder.readLike(root, images.classes());
  }

  private static String name(ImageFolder images, int i, int label) {
    ImageFile file = images.images().get(i);
    return "%s/%s".formatted(images.classes().get(label), file.relativeName().replace('/', '-'));
  }

  private static void print(String name, double value) {
    System.out.printf(Locale.ROOT, "%s,%.6g%n", name, value);
  }
}
