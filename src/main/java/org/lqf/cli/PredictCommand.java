package org.lqf.cli;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.image.ImageDecoder;
import org.lqf.predict.Classifier;
import org.lqf.predict.Prediction;
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
      "  lqf predict photos.lqf --top 3 --json *.jpg > classes.json"
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

  @Mixin private final EngineOptions device = new EngineOptions();
  @Spec private @Nullable CommandSpec spec;

  private boolean failed;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    if (top < 1) {
      throw new ParameterException(
          command.commandLine(), "--top must be at least 1, got %d".formatted(top));
    }
    PrintWriter out = command.commandLine().getOut();
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
