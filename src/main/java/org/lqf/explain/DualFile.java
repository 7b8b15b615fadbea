package org.lqf.explain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.model.Safetensors;
import org.lqf.model.SafetensorsFile;
import org.lqf.model.Tensor;

/**
 * A {@link Dual} on disk, so that a change of some images need not compute a Gram matrix: as
 * safetensors, the lower triangle of G in tiles {@code inverse.K} of whole rows [rows, columns], α,
 * y − f0, y, and the similarities. 4 · (N·C)² bytes.
 *
 * <p>It knows its images by name and its linearisation point. Nothing is trusted that it says of
 * their numbers: what is made from it is certified by a gradient that the network computes anew.
 *
 * @param dual owned by this
 * @param images in the dual's order
 * @param labels in the dual's order
 */
public record DualFile(Dual dual, List<Provenance.Image> images, List<String> labels)
    implements AutoCloseable {

  private static final String TILES = "inverse."; // and the first row
  private static final String FORMAT = "lqf-dual/1";
  private static final int TILE = 1 << 22; // doubles

  /** About what a file of that many images has. */
  public static long bytes(long images, int classes) {
    return 4 * images * classes * images * classes + (1 << 24);
  }

  /**
   * Writes the file as a whole or not at all.
   *
   * @param model that the dual belongs to
   * @param images its images, in their order
   * @throws IllegalArgumentException if it does not fit into Java's memory on its way; says so
   */
  public static void write(
      Path file, Dual dual, LinearisedModel model, List<Provenance.Image> images)
      throws IOException {
    long bytes = bytes(dual.images(), dual.classes());
    if (bytes > Runtime.getRuntime().maxMemory() / 2) {
      throw new IllegalArgumentException(
          "%s: %.1f GB of Gram inverse need twice that in Java's memory, which has %.1f GB; give it more by LQF_JAVA_OPTS=-Xmx…, or change the model without --dual"
              .formatted(file, bytes / 1e9, Runtime.getRuntime().maxMemory() / 1e9));
    }
    Map<String, String> texts = new TreeMap<>();
    texts.put("format", FORMAT);
    texts.put("backboneDigest", model.origin().backboneDigest());
    texts.put("labels", String.join("\n", model.labels()));
    texts.put("linearised", linearised(model));
    texts.put("targetScale", Double.toString(model.fit().targetScale()));
    texts.put("ridge", Double.toString(model.fit().ridge()));
    texts.put("mu", Double.toString(dual.mu()));
    new Provenance(images, List.of()).write(texts);
    Map<String, Tensor> tensors = new TreeMap<>();
    tensors.put("alpha", Tensor.of(dual.alpha()));
    tensors.put("residual", Tensor.of(dual.residual()));
    tensors.put("targets", Tensor.of(dual.targets()));
    tensors.put("similarity", Tensor.of(dual.similarities()));
    tensors.put("head.weight", Tensor.of(model.headWeight()));
    tensors.put("head.bias", Tensor.of(model.headBias()));
    int side = dual.side();
    int tile = Math.max(1, TILE / side);
    for (int row = 0; row < side; row += tile) {
      int end = Math.min(side, row + tile);
      tensors.put(Triangle.name(TILES, row), Tensor.of(dual.lower(row, end), end - row, end));
    }
    new Safetensors(texts, tensors).write(file);
  }

  private static String linearised(LinearisedModel model) {
    return new TreeMap<>(model.linearised().byLayer()).toString();
  }

  /**
   * Opens a file. G stays there and is read whenever a product with it is asked for; what fails
   * then is an {@link java.io.UncheckedIOException}.
   *
   * @param model what it should belong to: the same linearisation point and ridge, perhaps with
   *     fewer classes or other images than the dual has
   * @return owned by the caller
   * @throws IOException if the file is damaged, none of lqf, or belongs to another point; says
   *     which
   */
  public static DualFile read(Engine engine, Path file, LinearisedModel model) throws IOException {
    SafetensorsFile content = SafetensorsFile.open(file);
    try {
      return read(engine, file, content, model);
    } catch (IOException | RuntimeException e) {
      content.close();
      throw e;
    }
  }

  private static DualFile read(
      Engine engine, Path file, SafetensorsFile content, LinearisedModel model) throws IOException {
    Map<String, String> texts = content.metadata();
    if (!FORMAT.equals(texts.get("format"))) {
      throw new IOException(file + " holds no Gram inverse of lqf; name another file");
    }
    List<String> labels = List.of(texts.getOrDefault("labels", "").split("\n", -1));
    requireSame(file, "network", texts.get("backboneDigest"), model.origin().backboneDigest());
    requireSame(file, "choice of layers", texts.get("linearised"), linearised(model));
    requireSame(file, "target scale", texts.get("targetScale"), "" + model.fit().targetScale());
    requireSame(file, "ridge", texts.get("ridge"), "" + model.fit().ridge());
    try {
      requireHead(file, content, labels, model);
      return new DualFile(dual(engine, content), Provenance.read(texts).images(), labels);
    } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
      throw new IOException("%s is damaged: %s; delete it".formatted(file, e.getMessage()), e);
    }
  }

  private static void requireSame(Path file, String what, @Nullable String is, String expected)
      throws IOException {
    if (!expected.equals(is)) {
      throw new IOException(
          "%s belongs to another %s (%s, the model has %s); name another file"
              .formatted(file, what, is, expected));
    }
  }

  /** The rows of the model's classes must be the dual's, bit for bit and in order. */
  private static void requireHead(
      Path file, SafetensorsFile content, List<String> labels, LinearisedModel model)
      throws IOException {
    float[] weight = content.get("head.weight").floats();
    float[] bias = content.get("head.bias").floats();
    float[] expected = model.headWeight();
    float[] expectedBias = model.headBias();
    int features = expected.length / expectedBias.length;
    int last = -1;
    for (int c = 0; c < expectedBias.length; c++) {
      int row = labels.indexOf(model.labels().get(c));
      boolean same =
          row > last
              && bias[row] == expectedBias[c]
              && Arrays.equals(
                  weight,
                  row * features,
                  (row + 1) * features,
                  expected,
                  c * features,
                  (c + 1) * features);
      if (!same) {
        throw new IOException(
            "%s belongs to another head: that of class %s is not the model's; name another file"
                .formatted(file, model.labels().get(c)));
      }
      last = row;
    }
  }

  private static Dual dual(Engine engine, SafetensorsFile content) throws IOException {
    double[] alpha = content.get("alpha").doubles();
    double[] residual = content.get("residual").doubles();
    double[] targets = content.get("targets").doubles();
    float[] similarity = content.get("similarity").floats();
    int side = alpha.length;
    int images = (int) Math.round(Math.sqrt(similarity.length));
    if (side < 1
        || residual.length != side
        || targets.length != side
        || images < 1
        || images * images != similarity.length
        || side % images != 0) {
      throw new IllegalArgumentException("its lengths contradict each other");
    }
    double mu = Double.parseDouble(content.metadata().getOrDefault("mu", "?"));
    Triangle inverse = Triangle.of(content, TILES, side);
    return new Dual(engine, images, mu, inverse, alpha, residual, targets, similarity);
  }

  /**
   * Which rows of the dual a problem with fewer images or classes lacks.
   *
   * @param left images in the dual's order
   * @param leftLabels in the dual's order
   * @return rows i·C + c, or null where some image is not the dual's or the order is another
   */
  public int @Nullable [] rowsWithout(List<Provenance.Image> left, List<String> leftLabels) {
    int[] rows = new int[dual.side()];
    int count = 0;
    int next = 0;
    for (int i = 0; i < images.size(); i++) {
      boolean stays = next < left.size() && left.get(next).equals(images.get(i));
      next += stays ? 1 : 0;
      for (int c = 0; c < labels.size(); c++) {
        if (!stays || !leftLabels.contains(labels.get(c))) {
          rows[count++] = i * labels.size() + c;
        }
      }
    }
    return next == left.size() ? Arrays.copyOf(rows, count) : null;
  }

  @Override
  public void close() {
    dual.close();
  }
}
