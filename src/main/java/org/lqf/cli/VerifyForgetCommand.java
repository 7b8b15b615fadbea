package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.DualFile;
import org.lqf.image.ImageFolder;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;
import org.lqf.tune.TrainingFiles;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code lqf verify-forget}: forgets some images, trains without them, and compares. */
@Command(
    name = "verify-forget",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Checks the claim of lqf forget on your own data: forgets some images, trains from scratch on "
          + "the others, and says how far apart the two are and what each took. Nothing is saved.",
      "\"From scratch\" means from Δ = 0 at the same linearisation point (network, head, ridge), by "
          + "the solver that lqf tune would choose. --retune also tunes anew, with a head and a "
          + "ridge from the images that are left, and compares the answers for the test images."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf verify-forget photos.lqf --data photos/ --count 10 --metrics-json m.json",
      "  lqf verify-forget photos.lqf --data photos/ --count 10 --dual photos.dual --retune"
    })
final class VerifyForgetCommand implements Callable<Integer> {

  @Parameters(paramLabel = "MODEL.lqf", arity = "1", description = "Written by lqf tune.")
  private @Nullable Path file;

  @Option(
      names = "--data",
      paramLabel = "DIR",
      required = true,
      description =
          "The images that it was trained on, as for lqf forget; where test/ is beside train/, the "
              + "answers for its images are compared.")
  private List<Path> data = List.of();

  @Option(
      names = "--count",
      paramLabel = "N",
      description = "Images to forget, drawn at random. Default: ${DEFAULT-VALUE}.")
  private int count = 10;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "Of the drawing. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(
      names = "--route",
      paramLabel = "gram|cg",
      description =
          "gram: by the Gram inverse; cg: without it, from the old solution. Default: ${DEFAULT-VALUE}.")
  private ModelChange.Route route = ModelChange.Route.GRAM;

  @Option(
      names = "--dual",
      paramLabel = "FILE",
      description =
          "The Gram inverse of the model's images: taken from FILE if it is there, else computed and "
              + "written to it. Reading it counts as forgetting. Without FILE it is computed in memory "
              + "before the clock starts; what that takes is told apart.")
  private @Nullable Path dualFile;

  @Option(names = "--retune", description = "Also tunes anew, with a head and a ridge of its own.")
  private boolean retune;

  @Option(
      names = "--backbone",
      paramLabel = "NET.json",
      description = "The network it was tuned from. Default: where the model says that it lies.")
  private @Nullable Path backbone;

  @Option(
      names = "--metrics-json",
      paramLabel = "FILE",
      description = "Writes the results for machines, replacing the file.")
  private @Nullable Path metrics;

  @Mixin private final EngineOptions device = new EngineOptions();

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  @Spec private @Nullable CommandSpec spec;

  private final Metrics results = new Metrics();

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    if (count < 1) {
      throw new ParameterException(
          command.commandLine(), "--count must be at least 1, got " + count);
    }
    if (route == ModelChange.Route.AUTO) {
      throw new ParameterException(command.commandLine(), "--route must be gram or cg here");
    }
    if (metrics != null) {
      OutputFile.check(metrics, 1);
    }
    ModelFile model = ModelFile.open(Objects.requireNonNull(file), backbone);
    List<String> notes = new ArrayList<>();
    List<Provenance.Image> before = ModelImages.named(model.model(), data, notes);
    List<Provenance.Image> removed = draw(before, model.model().labels());
    ModelChange change =
        ForgetCommand.change(model, before, removed, List.of(), data, new ArrayList<>());
    ImageFolder test = test(model.model(), notes);
    try (ProgressDisplay display = new ProgressDisplay(command.commandLine().getErr(), quiet);
        Engine engine = device.open(command)) {
      notes.forEach(display::note);
      long begin = System.nanoTime();
      LinearisedModel forgotten = forget(engine, model, change, before, display);
      long start = System.nanoTime();
      ModelChange.Result trained = change.retrain(engine, device.threads(), display);
      double seconds = seconds(start);
      compare(model.model(), forgotten, trained, seconds);
      if (test != null) {
        answers(engine, model, forgotten, trained.model(), test, display);
      }
      if (retune && test != null) {
        retune(engine, model, change, forgotten, test, display);
      }
      display.clear();
      results
          .put("images", before.size())
          .put("count", removed.size())
          .put("drawSeed", seed)
          .put("forgotten", removed.stream().map(Provenance.Image::name).toList())
          .model(trained.model())
          .cost(engine, device.threads(), seconds(begin));
      if (metrics != null) {
        results.write(metrics);
      }
      print(new ResultTable(command.commandLine().getOut()), engine);
      command.commandLine().getOut().flush();
    }
    return 0;
  }

  private static double seconds(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  /** Some images, so that no class loses all of its own. */
  private List<Provenance.Image> draw(List<Provenance.Image> images, List<String> labels) {
    int[] left = new int[labels.size()];
    images.forEach(image -> left[labels.indexOf(ModelImages.folder(image.name()))]++);
    List<Provenance.Image> pool = new ArrayList<>(images);
    List<Provenance.Image> drawn = new ArrayList<>();
    SplittableRandom random = new SplittableRandom(seed);
    while (drawn.size() < count && !pool.isEmpty()) {
      Provenance.Image image = pool.remove(random.nextInt(pool.size()));
      int label = labels.indexOf(ModelImages.folder(image.name()));
      if (left[label] > 1) {
        left[label]--;
        drawn.add(image);
      }
    }
    if (drawn.size() < count) {
      throw new IllegalArgumentException(
          "%d of %d images cannot be forgotten without leaving a class empty; at most %d"
              .formatted(count, images.size(), drawn.size()));
    }
    return drawn;
  }

  private @Nullable ImageFolder test(LinearisedModel model, List<String> notes) throws IOException {
    for (Path root : data) {
      if (ImageFolder.hasTrainTest(root)) {
        return TrainingData.testImages(root, model.labels(), notes);
      }
    }
    if (retune) {
      throw new IllegalArgumentException(
          "--retune compares answers for test images; give --data a folder with train/ and test/");
    }
    return null;
  }

  private LinearisedModel forget(
      Engine engine,
      ModelFile model,
      ModelChange change,
      List<Provenance.Image> before,
      ProgressDisplay display)
      throws IOException {
    int threads = device.threads();
    long start = System.nanoTime();
    DualFile dual = null;
    double read = 0;
    if (route == ModelChange.Route.GRAM && dualFile == null) {
      dual = ModelChange.computeDual(engine, model, before, data, threads, display);
      results.put("secondsGramInverse", seconds(start));
    } else if (route == ModelChange.Route.GRAM) {
      Path path = Objects.requireNonNull(dualFile);
      if (!Files.exists(path)) {
        ModelChange.dual(engine, path, model, data, threads, display).close();
        results.put("secondsGramInverse", seconds(start));
        start = System.nanoTime();
      }
      dual = ModelChange.dual(engine, path, model, data, threads, display);
      read = seconds(start);
    }
    try (DualFile opened = dual) {
      start = System.nanoTime();
      ModelChange.Result result = change.solve(engine, route, opened, threads, display);
      results
          .put("route", result.receipt().route())
          .put("secondsForget", read + seconds(start))
          .put("forgetIterations", result.receipt().iterations())
          .put("forgetGradientNorm", result.receipt().certificate().gradientNorm())
          .put("certifiedRelativeDistance", result.receipt().certifiedRelativeDistance());
      return result.model();
    }
  }

  private void compare(
      LinearisedModel before,
      LinearisedModel forgotten,
      ModelChange.Result trained,
      double seconds) {
    float[] target = trained.model().delta();
    results
        .put("secondsRetrain", seconds)
        .put("retrainRoute", trained.receipt().route())
        .put("timeRatioToRetrain", results.number("secondsForget") / seconds)
        .put("relativeDistanceToRetrained", distance(forgotten.delta(), target))
        .put("relativeDistanceBefore", distance(before.delta(), target));
  }

  /** ‖a − b‖/‖b‖. */
  private static double distance(float[] a, float[] b) {
    double difference = 0;
    double length = 0;
    for (int i = 0; i < a.length; i++) {
      difference += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
      length += (double) b[i] * b[i];
    }
    return Math.sqrt(difference / length);
  }

  private void answers(
      Engine engine,
      ModelFile model,
      LinearisedModel forgotten,
      LinearisedModel trained,
      ImageFolder test,
      ProgressDisplay display)
      throws IOException {
    display.phase("testing");
    TestScore score = TestScore.of(engine, model.backbone(), forgotten, test, display);
    TestScore other = TestScore.of(engine, model.backbone(), trained, test, display);
    TestScore before = TestScore.of(engine, model.backbone(), model.model(), test, display);
    results
        .put("testImages", test.size())
        .put("testAccuracyBefore", before.accuracy())
        .put("testAccuracyForgotten", score.accuracy())
        .put("testAccuracyRetrained", other.accuracy())
        .put("answersUnlikeRetrained", score.differentFrom(other))
        .put("answersUnlikeBefore", score.differentFrom(before));
  }

  private void retune(
      Engine engine,
      ModelFile model,
      ModelChange change,
      LinearisedModel forgotten,
      ImageFolder test,
      ProgressDisplay display)
      throws IOException {
    display.phase("tuning anew");
    LqfConfig config =
        LqfConfig.defaults()
            .withSize(model.model().input().height())
            .withTargetScale(model.model().fit().targetScale())
            .withReaders(device.threads());
    LinearisedModel tuned =
        LqfTrainer.train(
                engine,
                model.backbone(),
                change.presentImages(),
                config,
                display,
                TrainingFiles.NONE)
            .model();
    TestScore score = TestScore.of(engine, model.backbone(), forgotten, test, display);
    TestScore other = TestScore.of(engine, model.backbone(), tuned, test, display);
    results
        .put("testAccuracyRetuned", other.accuracy())
        .put("answersUnlikeRetuned", score.differentFrom(other));
  }

  private void print(ResultTable table, Engine engine) {
    table
        .line(
            "forgotten",
            "%.0f of %.0f images".formatted(results.number("count"), results.number("images")))
        .line("device", device.describe(engine))
        .line(
            "forget",
            "%.2f s by %s".formatted(results.number("secondsForget"), results.text("route")))
        .line(
            "train anew",
            "%.2f s by %s"
                .formatted(results.number("secondsRetrain"), results.text("retrainRoute")))
        .line("ratio of times", "%.4f".formatted(results.number("timeRatioToRetrain")));
    if (results.has("secondsGramInverse")) {
      table.line(
          "Gram inverse",
          "%.2f s before that, once for all changes"
              .formatted(results.number("secondsGramInverse")));
    }
    table
        .line(
            "distance",
            "%.3g of ‖Δ‖ from the Δ that was trained anew; before forgetting it was %.3g"
                .formatted(
                    results.number("relativeDistanceToRetrained"),
                    results.number("relativeDistanceBefore")))
        .line(
            "certified",
            "at most %.3g of ‖Δ‖".formatted(results.number("certifiedRelativeDistance")));
    if (results.has("testImages")) {
      table.line(
          "test images",
          "%.0f of %.0f answers unlike those of the model that was trained anew; before forgetting %.0f were unlike the new ones"
              .formatted(
                  results.number("answersUnlikeRetrained"),
                  results.number("testImages"),
                  results.number("answersUnlikeBefore")));
    }
    if (results.has("answersUnlikeRetuned")) {
      table.line(
          "tuned anew",
          "with a head and a ridge of its own: %.0f answers unlike, accuracy %.1f %% against %.1f %%"
              .formatted(
                  results.number("answersUnlikeRetuned"),
                  100 * results.number("testAccuracyRetuned"),
                  100 * results.number("testAccuracyForgotten")));
    }
  }
}
