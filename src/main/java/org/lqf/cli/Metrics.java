package org.lqf.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.model.AtomicFile;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.ConfusionMatrix;
import org.lqf.tune.TuningPlan;

/**
 * Names and values for machines. The names are stable; what is not known is null, never NaN or left
 * out.
 */
final class Metrics {

  private static final int CONFUSIONS = 20;

  private static final ObjectWriter JSON =
      JsonMapper.builder()
          .build()
          .writer(
              new DefaultPrettyPrinter()
                  .withObjectIndenter(new DefaultIndenter("  ", "\n"))
                  .withArrayIndenter(new DefaultIndenter("  ", "\n")));

  private final Map<String, @Nullable Object> values = new LinkedHashMap<>();

  Metrics put(String name, @Nullable Object value) {
    boolean unknown = value instanceof Double number && !Double.isFinite(number);
    values.put(name, unknown ? null : value);
    return this;
  }

  boolean has(String name) {
    return values.containsKey(name);
  }

  /** A number that was put and is known. */
  double number(String name) {
    return ((Number) Objects.requireNonNull(values.get(name), name)).doubleValue();
  }

  /** A text that was put and is known. */
  String text(String name) {
    return (String) Objects.requireNonNull(values.get(name), name);
  }

  /** What the file of a model knows. */
  Metrics model(LinearisedModel model) {
    LinearisedModel.Fit fit = model.fit();
    return put("trainLoss", fit.certificate().loss())
        .put("gradientNorm", fit.certificate().gradientNorm())
        .put("certifiedGap", fit.certificate().gap())
        .put("iterations", fit.iterations())
        .put("solver", fit.solver())
        .put("seed", fit.seed())
        .put("ridge", fit.ridge())
        .put("targetScale", fit.targetScale())
        .put("trainImages", fit.samples())
        .put("parameters", model.delta().length)
        .put("backbone", model.origin().backbone())
        .put("backboneDigest", model.origin().backboneDigest())
        .put("dataDigest", model.origin().dataDigest())
        .put("version", model.origin().version());
  }

  /**
   * Accuracies in [0, 1] and what lies behind them.
   *
   * @param probe the linear probe on the same images, or null if not known
   */
  Metrics test(@Nullable TestScore score, @Nullable TestScore probe) {
    put("testAccuracy", score == null ? null : score.accuracy());
    put("testStandardError", score == null ? null : score.standardError());
    put("probeAccuracy", probe == null ? null : probe.accuracy());
    TestScore.@Nullable Gain gain = score == null || probe == null ? null : score.over(probe);
    put("gain", gain == null ? null : gain.value());
    put("gainStandardError", gain == null ? null : gain.standardError());
    put("testImages", score == null ? null : score.images());
    put("perClass", score == null ? null : perClass(score.confusions(), probe));
    return put("confusions", score == null ? null : confusions(score.confusions()));
  }

  /** What the work was expected to take; null for what is not known. */
  Metrics planned(@Nullable TuningPlan plan) {
    return put("plannedSeconds", plan == null ? null : plan.seconds())
        .put("plannedPeakMemoryBytes", plan == null ? null : plan.peakBytes());
  }

  /** What the work took. */
  Metrics cost(Engine engine, int threads, double seconds) {
    long peak = PeakMemory.bytes();
    return put("seconds", seconds)
        .put("peakMemoryBytes", peak < 0 ? null : peak)
        .put("threads", threads)
        .put("device", EngineOptions.name(engine))
        .put("deviceDescription", engine.describe());
  }

  private static List<Map<String, @Nullable Object>> perClass(
      ConfusionMatrix score, @Nullable TestScore probe) {
    List<Map<String, @Nullable Object>> classes = new ArrayList<>();
    for (int label = 0; label < score.labels().size(); label++) {
      classes.add(
          new Metrics()
              .put("class", score.labels().get(label))
              .put("images", score.images(label))
              .put("testAccuracy", score.accuracy(label))
              .put("probeAccuracy", probe == null ? null : probe.confusions().accuracy(label))
              .values);
    }
    return classes;
  }

  private static List<Map<String, @Nullable Object>> confusions(ConfusionMatrix score) {
    List<Map<String, @Nullable Object>> pairs = new ArrayList<>();
    for (ConfusionMatrix.Confusion pair : score.mostConfused(CONFUSIONS)) {
      pairs.add(
          new Metrics()
              .put("class", pair.label())
              .put("predicted", pair.predicted())
              .put("count", pair.count())
              .put("of", pair.of())
              .values);
    }
    return pairs;
  }

  /** One line feed at the end. */
  static String json(Object value) throws JsonProcessingException {
    return JSON.writeValueAsString(value) + "\n";
  }

  /** These names and values as JSON. */
  String json() throws JsonProcessingException {
    return json(values);
  }

  Map<String, @Nullable Object> values() {
    return values;
  }

  /** The file appears as a whole or not at all. */
  void write(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(json().getBytes(StandardCharsets.UTF_8));
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, bytes));
  }
}
