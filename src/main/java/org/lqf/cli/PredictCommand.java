package org.lqf.cli;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.Answers;
import org.lqf.image.ImageDecoder;
import org.lqf.image.ImageTransform;
import org.lqf.model.InputSpec;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.Classifier;
import org.lqf.predict.Prediction;
import org.lqf.solve.ImageArray;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code lqf predict}: a model and images in, their classes out. */
@Command(
    name = "predict",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Says what is on images: the best classes with their scores.",
      "A score is about 1 for the class of an image and about 0 for others; it is no probability. "
          + "An image that cannot be read is named on stderr, the others are still done, and the "
          + "exit code is 1."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf predict photos.lqf a.jpg b.png",
      "  lqf predict photos.lqf --top 3 --json *.jpg > classes.json",
      "  lqf predict photos.lqf a.jpg --uncertainty --data photos/train --reject-below 0.9"
    })
final class PredictCommand implements Callable<Integer> {

  @Parameters(index = "0", paramLabel = "MODEL.lqf", description = "Written by lqf tune.")
  private @Nullable Path file;

  @Parameters(
      index = "1..*",
      arity = "1..*",
      paramLabel = "IMAGE",
      description = "JPEG, PNG, GIF or BMP.")
  private List<Path> images = List.of();

  @Option(
      names = "--top",
      paramLabel = "K",
      description = "Classes shown of each image. Default: ${DEFAULT-VALUE}.")
  private int top = 1;

  @Option(
      names = "--json",
      description = "Prints a list: image, label, score and the top K of each.")
  private boolean json;

  @Option(
      names = "--backbone",
      paramLabel = "NET.json",
      description = "The network it was tuned from. Default: where the model says that it lies.")
  private @Nullable Path backbone;

  @Mixin private final UncertaintyOptions uncertainty = new UncertaintyOptions();

  @Option(
      names = "--data",
      paramLabel = "DIR",
      description = "The images that it was trained on, for --uncertainty. May be given again.")
  private List<Path> data = List.of();

  @Option(
      names = "--reject-below",
      paramLabel = "P",
      description =
          "With --uncertainty: gives no answer that is right with a lower probability, in [0.5, 1].")
  private double least = 0.5;

  @Mixin private final EngineOptions device = new EngineOptions();

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  @Spec private @Nullable CommandSpec spec;

  private boolean failed;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    if (top < 1) {
      throw new ParameterException(
          command.commandLine(), "--top must be at least 1, got %d".formatted(top));
    }
    uncertainty.check(command, "--data", data);
    if (!(least >= 0.5 && least <= 1)) {
      throw new ParameterException(
          command.commandLine(), "--reject-below must lie in [0.5, 1], got " + least);
    }
    if (least > 0.5 && !uncertainty.wanted()) {
      throw new ParameterException(
          command.commandLine(), "--reject-below is for --uncertainty; give that too");
    }
    PrintWriter out = command.commandLine().getOut();
    if (uncertainty.wanted()) {
      predictSurely(command, out);
      return failed ? 1 : 0;
    }
    ModelFile input = ModelFile.open(Objects.requireNonNull(file), backbone);
    List<Map<String, Object>> all = new ArrayList<>();
    try (Engine engine = device.open(command);
        Classifier classifier = Classifier.open(engine, input.backbone(), input.model())) {
      for (int from = 0; from < images.size(); from += classifier.maxBatch()) {
        int to = Math.min(from + classifier.maxBatch(), images.size());
        List<Path> readable = new ArrayList<>();
        List<BufferedImage> decoded = new ArrayList<>();
        decode(images.subList(from, to), readable, decoded, command.commandLine().getErr());
        List<Prediction> predictions = classifier.classify(decoded);
        for (int i = 0; i < readable.size(); i++) {
          if (json) {
            all.add(entry(readable.get(i), predictions.get(i)));
          } else {
            out.println(line(readable.get(i), predictions.get(i)));
          }
        }
        out.flush();
      }
    }
    if (json) {
      out.print(Metrics.json(all));
      out.flush();
    }
    return failed ? 1 : 0;
  }

  private void predictSurely(CommandSpec command, PrintWriter out) throws IOException {
    PrintWriter err = command.commandLine().getErr();
    List<Path> readable = new ArrayList<>();
    List<BufferedImage> decoded = new ArrayList<>();
    decode(images, readable, decoded, err);
    if (readable.isEmpty()) {
      return;
    }
    try (ProgressDisplay display = new ProgressDisplay(err, quiet);
        Engine engine = device.open(command);
        TrainedModel trained =
            TrainedModel.open(
                engine, Objects.requireNonNull(file), backbone, data, device.threads(), display);
        Sureness sureness = uncertainty.sureness(trained, device.threads(), display)) {
      display.work("predicting");
      Answers answers =
          Answers.of(
              trained.fitted(), sureness.posterior(), samples(trained, decoded), display::step);
      display.clear();
      double[] confidences = sureness.calibration().confidences(answers);
      List<Map<String, Object>> all = new ArrayList<>();
      for (int i = 0; i < readable.size(); i++) {
        Prediction prediction = prediction(trained.model(), answers.output(i));
        double deviation =
            answers.deviation(i, sureness.calibration().noise())
                / trained.model().fit().targetScale();
        if (json) {
          Map<String, Object> entry = entry(readable.get(i), prediction);
          entry.put("deviation", deviation);
          entry.put("confidence", confidences[i]);
          entry.put("rejected", confidences[i] < least);
          all.add(entry);
        } else {
          out.println(line(readable.get(i), prediction, deviation, confidences[i]));
        }
      }
      if (json) {
        out.print(Metrics.json(all));
      }
      out.flush();
    }
  }

  private static ImageArray samples(TrainedModel trained, List<BufferedImage> decoded) {
    InputSpec input = trained.model().input();
    ImageTransform transform =
        new ImageTransform(
            input.channels(), input.height(), input.width(), input.mean(), input.std());
    float[] pixels = new float[Math.multiplyExact(decoded.size(), transform.floats())];
    for (int i = 0; i < decoded.size(); i++) {
      transform.applyInto(decoded.get(i), pixels, i * transform.floats());
    }
    int batch = Math.min(UncertaintyOptions.BATCH, trained.fitted().maxBatch());
    return ImageArray.unlabelled(pixels, decoded.size(), trained.fitted().classes(), batch);
  }

  private static Prediction prediction(LinearisedModel model, double[] output) {
    List<Prediction.Score> scores = new ArrayList<>();
    for (int c = 0; c < output.length; c++) {
      float score = (float) (output[c] / model.fit().targetScale());
      scores.add(new Prediction.Score(model.labels().get(c), c, score));
    }
    scores.sort(Comparator.comparing(Prediction.Score::value).reversed());
    return new Prediction(scores);
  }

  private String line(Path image, Prediction prediction, double deviation, double confidence) {
    String said =
        "%s %.3f ± %.3f, %.1f %% sure"
            .formatted(prediction.label(), prediction.score(), deviation, 100 * confidence);
    String others =
        prediction.ranked().stream()
            .limit(top)
            .skip(1)
            .map(score -> ", %s %.3f".formatted(score.label(), score.value()))
            .collect(Collectors.joining());
    return confidence < least
        ? "%s: no answer (%s%s)".formatted(image, said, others)
        : "%s: %s%s".formatted(image, said, others);
  }

  private void decode(
      List<Path> files, List<Path> readable, List<BufferedImage> decoded, PrintWriter err) {
    for (Path image : files) {
      try {
        decoded.add(ImageDecoder.decode(image));
        readable.add(image);
      } catch (IOException e) {
        err.println("lqf: " + Failures.sentence(image, e));
        failed = true;
      }
    }
  }

  private String line(Path image, Prediction prediction) {
    return prediction.ranked().stream()
        .limit(top)
        .map(score -> "%s %.3f".formatted(score.label(), score.value()))
        .collect(Collectors.joining(", ", image + ": ", ""));
  }

  private Map<String, Object> entry(Path image, Prediction prediction) {
    Map<String, Object> entry = new LinkedHashMap<>();
    entry.put("image", image.toString());
    entry.put("label", prediction.label());
    entry.put("score", prediction.score());
    entry.put("top", prediction.ranked().stream().limit(top).map(PredictCommand::entry).toList());
    return entry;
  }

  private static Map<String, Object> entry(Prediction.Score score) {
    Map<String, Object> entry = new LinkedHashMap<>();
    entry.put("label", score.label());
    entry.put("score", score.value());
    return entry;
  }
}
