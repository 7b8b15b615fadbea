package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.Attribution;
import org.lqf.explain.CrossKernel;
import org.lqf.explain.Dual;
import org.lqf.explain.FittedModel;
import org.lqf.explain.Influence;
import org.lqf.explain.InfluenceEstimate;
import org.lqf.explain.LeaveOneOut;
import org.lqf.image.ImageDecoder;
import org.lqf.image.ImageFile;
import org.lqf.image.ImageTransform;
import org.lqf.model.InputSpec;
import org.lqf.model.LinearisedModel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * {@code lqf explain}: a model, its training images and photos in, the reasons of its answers out.
 */
@Command(
    name = "explain",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Splits an answer, exactly, into what the starting point of fine-tuning said and one term for each "
          + "training image; shows the images that add most and take most, and what the answer would "
          + "be if each were removed.",
      "The removals need a Gram matrix, which takes about as long as a training by --solver gram; "
          + "--no-removals leaves them out."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf explain photos.lqf a.jpg --data photos/train      explanation/explain.html and explain.png",
      "  lqf explain photos.lqf a.jpg b.jpg --data photos/train --class cat --no-removals"
    })
final class ExplainCommand implements Callable<Integer> {

  private static final int SHOWN = 5; // on the terminal, to either side
  private static final int COLUMNS = 8; // of a contact sheet, at most

  @Mixin private final TrainedModelOptions options = new TrainedModelOptions();

  @Parameters(
      index = "1..*",
      arity = "1..*",
      paramLabel = "IMAGE",
      description = "JPEG, PNG, GIF or BMP.")
  private List<Path> images = List.of();

  @Option(
      names = "--class",
      paramLabel = "NAME",
      description = "Explains the score of this class. Default: of the answer.")
  private @Nullable String asked;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description =
          "Folder for explain.html and explain.png, or explain-1.png, explain-2.png … "
              + "Default: ${DEFAULT-VALUE}.")
  private Path out = Path.of("explanation");

  @Option(
      names = "--top",
      paramLabel = "N",
      description = "Training images shown to either side. Default: ${DEFAULT-VALUE}.")
  private int top = 12;

  @Option(
      names = "--no-removals",
      description = "Leaves out what would be without a training image; much quicker.")
  private boolean noRemovals;

  @Option(
      names = "--estimate-removals",
      description =
          "Instead of the exact removals, for images that are too many for a Gram matrix: to first "
              + "order, from one solve by conjugate gradients for each photo.")
  private boolean estimate;

  @Option(
      names = "--metrics-json",
      paramLabel = "FILE",
      description = "Writes the results for machines, replacing the file.")
  private @Nullable Path metrics;

  @Mixin private final EngineOptions device = new EngineOptions();

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    if (top < 1) {
      throw new ParameterException(
          command.commandLine(), "--top must be at least 1, got %d".formatted(top));
    }
    if (estimate && noRemovals) {
      throw new ParameterException(
          command.commandLine(), "--estimate-removals and --no-removals exclude each other");
    }
    Files.createDirectories(out);
    OutputFile.check(out.resolve("explain.html"), 1);
    if (metrics != null) {
      OutputFile.check(metrics, 1);
    }
    long start = System.nanoTime();
    try (ProgressDisplay display = new ProgressDisplay(command.commandLine().getErr(), quiet);
        Engine engine = device.open(command);
        TrainedModel trained = options.open(engine, device.threads(), display)) {
      List<Explanation> all = explain(trained, display);
      display.phase("writing");
      List<Path> written = write(all, trained.images().images());
      display.clear();
      double seconds = (System.nanoTime() - start) / 1e9;
      if (metrics != null) {
        metrics(all, trained)
            .model(trained.model())
            .cost(engine, device.threads(), seconds)
            .write(metrics);
      }
      print(command.commandLine().getOut(), all, trained.images().images(), seconds, written);
    }
    return 0;
  }

  private List<Explanation> explain(TrainedModel trained, ProgressDisplay display)
      throws IOException {
    LinearisedModel model = trained.model();
    int wanted = asked == null ? -1 : model.labels().indexOf(asked);
    if (asked != null && wanted < 0) {
      throw new IOException(
          "the model knows no class \"%s\"; it has %s"
              .formatted(asked, String.join(", ", model.labels())));
    }
    FittedModel fitted = trained.fitted();
    float[] pixels = pixels(model.input());
    Dual dual = null;
    boolean exact = !noRemovals && !estimate;
    if (exact && trained.dualFits()) {
      dual = trained.dual();
    } else if (exact) {
      display.note(
          "%d images of %d classes need a Gram matrix that does not fit into memory; removals are left out, --estimate-removals would do without"
              .formatted(fitted.images(), fitted.classes()));
    }
    LeaveOneOut loo = dual == null ? null : LeaveOneOut.of(dual);
    display.phase("terms of the training images");
    double[] alpha = dual == null ? fitted.alpha() : dual.alpha();
    List<Explanation> all = new ArrayList<>();
    for (int i = 0; i < images.size(); i++) {
      float[] image =
          Arrays.copyOfRange(pixels, i * fitted.imageLength(), (i + 1) * fitted.imageLength());
      double[] cross = CrossKernel.of(fitted, image);
      Attribution split = Attribution.of(fitted, alpha, image, cross);
      Influence influence = dual == null || loo == null ? null : Influence.of(dual, loo, cross);
      double[] output = split.output();
      int answer = 0;
      for (int c = 1; c < output.length; c++) {
        answer = output[c] > output[answer] ? c : answer;
      }
      int c = wanted < 0 ? answer : wanted;
      all.add(
          new Explanation(
              images.get(i),
              model.labels(),
              c,
              split,
              influence,
              estimate ? InfluenceEstimate.of(fitted, alpha, image, c) : null,
              model.fit().targetScale()));
    }
    return all;
  }

  /** The images as the network takes them, [images, channels, height, width]. */
  private float[] pixels(InputSpec input) throws IOException {
    ImageTransform transform =
        new ImageTransform(
            input.channels(), input.height(), input.width(), input.mean(), input.std());
    float[] pixels = new float[Math.multiplyExact(images.size(), transform.floats())];
    for (int i = 0; i < images.size(); i++) {
      transform.applyInto(ImageDecoder.decode(images.get(i)), pixels, i * transform.floats());
    }
    return pixels;
  }

  private List<Path> write(List<Explanation> all, List<ImageFile> training) throws IOException {
    ExplanationPage page = new ExplanationPage(all, training, top);
    List<Path> written = new ArrayList<>();
    written.add(out.resolve("explain.html"));
    page.page().write(written.get(0));
    for (int i = 0; i < all.size(); i++) {
      Path sheet = out.resolve(all.size() == 1 ? "explain.png" : "explain-%d.png".formatted(i + 1));
      page.sheet(all.get(i), Math.min(top, COLUMNS)).write(sheet);
      written.add(sheet);
    }
    return written;
  }

  private Metrics metrics(List<Explanation> all, TrainedModel trained) {
    List<Map<String, @Nullable Object>> entries = new ArrayList<>();
    for (Explanation why : all) {
      int c = why.asked();
      entries.add(
          new Metrics()
              .put("image", why.image().toString())
              .put("label", why.labels().get(why.predicted()))
              .put("explained", why.labels().get(c))
              .put("score", why.score(c))
              .put("base", why.base(c))
              .put("terms", why.terms(c))
              .put("rest", why.rest(c))
              .put("relativeSumError", why.sumError())
              .put("supporting", terms(why, why.supporting(top), trained))
              .put("opposing", terms(why, why.opposing(top), trained))
              .put("decisive", why.influence() == null ? null : terms(why, why.decisive(), trained))
              .values());
    }
    return new Metrics().put("explanations", entries);
  }

  private static List<Map<String, @Nullable Object>> terms(
      Explanation why, List<Integer> images, TrainedModel trained) {
    List<Map<String, @Nullable Object>> terms = new ArrayList<>();
    Influence by = why.influence();
    double[] about = why.estimates();
    for (int i : images) {
      terms.add(
          new Metrics()
              .put("image", trained.images().images().get(i).relativeName())
              .put("term", why.term(i))
              .put("scoreWithout", by == null ? null : why.without(by, i))
              .put(
                  "estimatedScoreWithout",
                  about == null ? null : why.score(why.asked()) + about[i] / why.scale())
              .put("labelWithout", by == null ? null : why.labels().get(why.answerWithout(by, i)))
              .values());
    }
    return terms;
  }

  private static void print(
      PrintWriter to,
      List<Explanation> all,
      List<ImageFile> training,
      double seconds,
      List<Path> written) {
    for (Explanation why : all) {
      int c = why.asked();
      to.printf(
          "%s: %s %.3f%n",
          why.image(), why.labels().get(why.predicted()), why.score(why.predicted()));
      if (c != why.predicted()) {
        to.printf("asked about: %s %.3f%n", why.labels().get(c), why.score(c));
      }
      to.println(ExplanationPage.sum(why));
      to.println("add most:");
      print(to, why, why.supporting(SHOWN), training);
      to.println("take most:");
      print(to, why, why.opposing(SHOWN), training);
      if (why.influence() != null) {
        to.printf(
            "%d of %d training images would change the answer if removed alone%n",
            why.decisive().size(), training.size());
      }
      to.println();
    }
    new ResultTable(to).cost(seconds);
    to.println();
    written.forEach(file -> to.println("wrote " + file));
    to.flush();
  }

  private static void print(
      PrintWriter to, Explanation why, List<Integer> images, List<ImageFile> training) {
    for (int i : images) {
      String without = why.withoutIt(i);
      to.printf(
          "  %+.4f  %s%s%n",
          why.term(i), training.get(i).relativeName(), without.isEmpty() ? "" : ", " + without);
    }
  }
}
