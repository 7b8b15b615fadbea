package org.lqf.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A fine-tuned network: f(x) = f(x; w0) + J(x)·delta, where f(·; w0) is a backbone with this
 * model's head. The file ({@code *.lqf}) is a safetensors file with metadata; it holds everything
 * except the backbone's own weights, which {@link #attach} checks by digest.
 *
 * <p>Equal content gives equal bytes: there is no date and no machine in the file. A digest over
 * all of it is stored inside, so that a damaged or edited file is refused when it is read.
 *
 * @param origin the backbone and the images that it was made from
 * @param input size and normalisation of the images
 * @param labels one per class, in the order of the scores
 * @param headWeight [classes, features], row-major, copied
 * @param headBias [classes], copied
 * @param linearised the nodes whose parameters are displaced, and in what unit
 * @param delta [parameters] of the backbone with head, each layer in its unit, zero for frozen
 *     nodes, copied
 * @param fit how delta was found, and how good it is
 * @param provenance which images it was made from, and what was changed since
 */
public record LinearisedModel(
    Origin origin,
    InputSpec input,
    List<String> labels,
    float[] headWeight,
    float[] headBias,
    LayerUnits linearised,
    float[] delta,
    Fit fit,
    Provenance provenance) {

  /** Version of lqf that this code belongs to, as the pom says. */
  public static final String VERSION = "0.1.0-SNAPSHOT";

  private static final String FORMAT = "lqf-model/2";
  private static final String CONTENT = "content";
  private static final String GAP = "certifiedGap"; // files written before it was kept lack it

  /**
   * What a model was made from.
   *
   * @param backbone name of the network
   * @param backboneDigest {@link Backbone#digest()} of the network at this model's input size, with
   *     the head that it came with
   * @param backboneHint where its graph file lay, relative to the model's file; "" if not known
   * @param dataDigest identity of the training images
   * @param version of lqf that wrote the model
   */
  public record Origin(
      String backbone,
      String backboneDigest,
      String backboneHint,
      String dataDigest,
      String version) {}

  /**
   * The problem that was solved, and how well.
   *
   * @param solver its name, such as "cg"
   * @param seed of everything random in the training
   * @param samples training images
   * @param iterations of the solver
   * @param targetScale α: the target of an image is α for its class and 0 for the others
   * @param certificate what the solver proved of delta
   */
  public record Fit(
      String solver,
      long seed,
      int samples,
      int iterations,
      double targetScale,
      Certificate certificate) {

    public Fit {
      double ridge = certificate.ridge();
      if (!(targetScale > 0 && ridge > 0 && samples > 0 && iterations >= 0)) {
        throw new IllegalArgumentException(
            "a fit needs samples, target scale and ridge above 0, got %d, %s and %s"
                .formatted(samples, targetScale, ridge));
      }
      double loss = certificate.loss();
      double gradientNorm = certificate.gradientNorm();
      double gap = certificate.gap();
      if (!(Double.isFinite(loss) && Double.isFinite(gradientNorm) && Double.isFinite(gap))) {
        throw new IllegalArgumentException(
            "loss %s, gradient norm %s and certified gap %s must be finite"
                .formatted(loss, gradientNorm, gap));
      }
    }

    /** λ of L(Δ) = 1/(2N) Σ‖f(x) − y‖² + λ/2 ‖Δ‖². */
    public double ridge() {
      return certificate.ridge();
    }
  }

  public LinearisedModel {
    labels = List.copyOf(labels);
    headWeight = headWeight.clone();
    headBias = headBias.clone();
    delta = delta.clone();
    int classes = labels.size();
    if (classes == 0 || headBias.length != classes || headWeight.length % classes != 0) {
      throw new IllegalArgumentException(
          "%d labels need a head of as many biases and rows, got %d biases and %d weights"
              .formatted(classes, headBias.length, headWeight.length));
    }
    if (linearised.layers().isEmpty()) {
      throw new IllegalArgumentException("no node is linearised; name at least one");
    }
    requireFinite("head weight", headWeight);
    requireFinite("head bias", headBias);
    requireFinite("delta", delta);
    int known = provenance.images().size();
    if (known != 0 && known != fit.samples) {
      throw new IllegalArgumentException(
          "%d images are named but %d were fitted".formatted(known, fit.samples));
    }
  }

  /** A model that does not know its images by name. */
  public LinearisedModel(
      Origin origin,
      InputSpec input,
      List<String> labels,
      float[] headWeight,
      float[] headBias,
      LayerUnits linearised,
      float[] delta,
      Fit fit) {
    this(origin, input, labels, headWeight, headBias, linearised, delta, fit, Provenance.UNKNOWN);
  }

  /**
   * The network that delta displaces: the backbone at this model's size with this model's head.
   *
   * @param backbone the one that the model was made from, at any input size, with any head of its
   *     own
   * @throws IllegalArgumentException if it is another network; the message names both
   */
  public Backbone attach(Backbone backbone) {
    Backbone sized = backbone.withInputSize(input.height(), input.width());
    if (!sized.digest().equals(origin.backboneDigest)) {
      throw new IllegalArgumentException(
          "this model was made from backbone \"%s\" with digest %s, got \"%s\" with digest %s; give the file that it was tuned from"
              .formatted(origin.backbone, origin.backboneDigest, backbone.name(), sized.digest()));
    }
    Backbone headed = sized.withHead(headWeight, headBias, labels);
    if (headed.parameters() != delta.length) {
      throw new IllegalArgumentException(
          "delta has %d entries but the backbone with head has %d parameters"
              .formatted(delta.length, headed.parameters()));
    }
    return headed;
  }

  /** The same model for a file from which the backbone's lies elsewhere; "" if not known. */
  public LinearisedModel withBackboneHint(String hint) {
    Origin there =
        new Origin(origin.backbone, origin.backboneDigest, hint, origin.dataDigest, origin.version);
    return new LinearisedModel(
        there, input, labels, headWeight, headBias, linearised, delta, fit, provenance);
  }

  /**
   * Identity of the problem without its images, 64 hexadecimal digits: network, head, classes,
   * linearised layers, target scale and ridge. Two Δ can be compared or added only if this is the
   * same.
   */
  public String pointDigest() {
    Map<String, String> texts = new TreeMap<>();
    texts.put("backboneDigest", origin.backboneDigest);
    texts.put("labels", String.join("/", labels)); // names of folders hold no '/'
    texts.put("linearised", new TreeMap<>(linearised.byLayer()).toString());
    texts.put("targetScale", Double.toString(fit.targetScale));
    texts.put("ridge", Double.toString(fit.ridge()));
    Map<String, Tensor> tensors =
        Map.of("head.weight", Tensor.of(headWeight), "head.bias", Tensor.of(headBias));
    return digest(new Safetensors(texts, tensors));
  }

  /**
   * Reads a model file.
   *
   * @throws IOException if it is cut off, is no model of lqf, or was altered; the message says
   *     which
   */
  public static LinearisedModel read(Path file) throws IOException {
    Safetensors content = Safetensors.read(file);
    Map<String, String> texts = content.metadata();
    String format = texts.getOrDefault("format", "");
    if (format.startsWith("lqf-model/") && !format.equals(FORMAT)) {
      throw new IOException(
          "%s is a model of another version of lqf: it has format %s, this one reads %s; tune it again"
              .formatted(file, format, FORMAT));
    }
    if (!format.equals(FORMAT)) {
      throw new IOException(
          "%s is no model of lqf: its metadata gives as format %s, expected \"%s\""
              .formatted(file, format.isEmpty() ? "nothing" : format, FORMAT));
    }
    String digest = digest(content);
    if (!digest.equals(texts.get(CONTENT))) {
      throw new IOException(
          "%s was altered after it was written: its content has digest %s, it says %s"
              .formatted(file, digest, texts.get(CONTENT)));
    }
    try {
      return decode(content);
    } catch (IllegalArgumentException | JsonProcessingException e) {
      throw new IOException("%s is no valid model: %s".formatted(file, e.getMessage()), e);
    }
  }

  /** Writes the file as a whole or not at all. */
  public void write(Path file) throws IOException {
    Map<String, String> texts = new TreeMap<>();
    texts.put("format", FORMAT);
    texts.put("backbone", origin.backbone);
    texts.put("backboneDigest", origin.backboneDigest);
    texts.put("backboneHint", origin.backboneHint);
    texts.put("dataDigest", origin.dataDigest);
    texts.put("version", origin.version);
    texts.put("input", Json.MAPPER.writeValueAsString(inputNumbers()));
    texts.put("labels", Json.MAPPER.writeValueAsString(labels));
    texts.put("linearised", Json.MAPPER.writeValueAsString(new TreeMap<>(linearised.byLayer())));
    texts.put("solver", fit.solver);
    texts.put("seed", Long.toString(fit.seed));
    texts.put("samples", Integer.toString(fit.samples));
    texts.put("iterations", Integer.toString(fit.iterations));
    texts.put("targetScale", Double.toString(fit.targetScale));
    texts.put("ridge", Double.toString(fit.ridge()));
    texts.put("loss", Double.toString(fit.certificate.loss()));
    texts.put("gradientNorm", Double.toString(fit.certificate.gradientNorm()));
    texts.put(GAP, Double.toString(fit.certificate.gap()));
    provenance.write(texts);
    Map<String, Tensor> tensors =
        Map.of(
            "delta", Tensor.of(delta),
            "head.weight", Tensor.of(headWeight, labels.size(), headWeight.length / labels.size()),
            "head.bias", Tensor.of(headBias));
    texts.put(CONTENT, digest(new Safetensors(texts, tensors)));
    new Safetensors(texts, tensors).write(file);
  }

  private static LinearisedModel decode(Safetensors content) throws IOException {
    Map<String, String> texts = content.metadata();
    return new LinearisedModel(
        new Origin(
            text(texts, "backbone"),
            text(texts, "backboneDigest"),
            text(texts, "backboneHint"),
            text(texts, "dataDigest"),
            text(texts, "version")),
        input(Json.MAPPER.readTree(text(texts, "input"))),
        strings(Json.MAPPER.readTree(text(texts, "labels"))),
        content.get("head.weight").floats(),
        content.get("head.bias").floats(),
        units(Json.MAPPER.readTree(text(texts, "linearised"))),
        content.get("delta").floats(),
        new Fit(
            text(texts, "solver"),
            Long.parseLong(text(texts, "seed")),
            Integer.parseInt(text(texts, "samples")),
            Integer.parseInt(text(texts, "iterations")),
            Double.parseDouble(text(texts, "targetScale")),
            certificate(texts)),
        Provenance.read(texts));
  }

  private static Certificate certificate(Map<String, String> texts) {
    double loss = Double.parseDouble(text(texts, "loss"));
    double gradientNorm = Double.parseDouble(text(texts, "gradientNorm"));
    double ridge = Double.parseDouble(text(texts, "ridge"));
    return texts.containsKey(GAP)
        ? new Certificate(loss, gradientNorm, ridge, Double.parseDouble(text(texts, GAP)))
        : new Certificate(loss, gradientNorm, ridge);
  }

  /**
   * SHA-256 over metadata and tensors in the order of their names, without the digest itself. Each
   * text is preceded by its length, so that no two contents give the same bytes.
   */
  private static String digest(Safetensors content) {
    MessageDigest sha;
    try {
      sha = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform must provide SHA-256", e);
    }
    content
        .metadata()
        .forEach(
            (key, value) -> {
              if (!key.equals(CONTENT)) {
                update(sha, key);
                update(sha, value);
              }
            });
    content
        .tensors()
        .forEach(
            (name, tensor) -> {
              update(sha, name);
              update(sha, tensor.toString()); // type and shape
              sha.update(tensor.bytes());
            });
    return HexFormat.of().formatHex(sha.digest());
  }

  private static void update(MessageDigest sha, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    sha.update((bytes.length + ":").getBytes(StandardCharsets.UTF_8));
    sha.update(bytes);
  }

  private Map<String, Object> inputNumbers() {
    Map<String, Object> numbers = new TreeMap<>();
    numbers.put("channels", input.channels());
    numbers.put("height", input.height());
    numbers.put("width", input.width());
    numbers.put("mean", input.mean());
    numbers.put("std", input.std());
    return numbers;
  }

  private static InputSpec input(JsonNode json) {
    return new InputSpec(
        json.path("channels").asInt(),
        json.path("height").asInt(),
        json.path("width").asInt(),
        floats(json.path("mean")),
        floats(json.path("std")));
  }

  private static float[] floats(JsonNode array) {
    float[] values = new float[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = Float.parseFloat(array.get(i).asText());
    }
    return values;
  }

  private static LayerUnits units(JsonNode object) {
    Map<String, Float> units = new LinkedHashMap<>();
    object.properties().forEach(field -> units.put(field.getKey(), field.getValue().floatValue()));
    return new LayerUnits(units);
  }

  private static List<String> strings(JsonNode array) {
    List<String> values = new ArrayList<>();
    array.forEach(value -> values.add(value.asText()));
    return values;
  }

  private static String text(Map<String, String> texts, String key) {
    String value = texts.get(key);
    if (value == null) {
      throw new IllegalArgumentException("its metadata lacks \"" + key + "\"");
    }
    return value;
  }

  private static void requireFinite(String what, float[] values) {
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        throw new IllegalArgumentException("%s: entry %d is %s".formatted(what, i, values[i]));
      }
    }
  }

  @Override
  public float[] headWeight() {
    return headWeight.clone();
  }

  @Override
  public float[] headBias() {
    return headBias.clone();
  }

  /** A fresh copy, [parameters] of the backbone with head. */
  @Override
  public float[] delta() {
    return delta.clone();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof LinearisedModel that
        && origin.equals(that.origin)
        && input.equals(that.input)
        && labels.equals(that.labels)
        && Arrays.equals(headWeight, that.headWeight)
        && Arrays.equals(headBias, that.headBias)
        && linearised.equals(that.linearised)
        && Arrays.equals(delta, that.delta)
        && fit.equals(that.fit)
        && provenance.equals(that.provenance);
  }

  @Override
  public int hashCode() {
    return 31 * origin.hashCode() + Arrays.hashCode(delta);
  }

  @Override
  public String toString() {
    return "%s on %s, %d classes, %d parameters, solved by %s"
        .formatted(origin.backbone, input.shape(), labels.size(), delta.length, fit.solver);
  }
}
