package org.lqf.explain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.lqf.engine.DeviceVector;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.model.Safetensors;
import org.lqf.model.Tensor;
import org.lqf.solve.Samples;

/**
 * All that the quadratic problem of some images is, without the images: the rows of J and y − f0.
 * With such files of disjoint shards their models are merged exactly by {@link ShardMerge}, and
 * nobody needs to see the data again.
 *
 * <p>A Gram matrix of each shard would not do: the merged problem also needs the products of rows
 * of one shard with those of another. Rows of J are the smallest thing that gives these exactly as
 * long as N·C is less than the parameters. 4 · N·C · parameters bytes, so this is for small shards.
 *
 * @param images in order
 * @param rows of J, each tile [rows, parameters]; row i·C + c is output c of image i
 * @param residual y − f(x; w0), [N·C]
 */
public record JacobianFile(List<Provenance.Image> images, List<float[]> rows, double[] residual) {

  private static final String FORMAT = "lqf-jacobian/1";
  private static final int TILE = 1 << 24; // floats

  /** What a file has, about. */
  public static long bytes(long images, int classes, long parameters) {
    return 4 * images * classes * parameters + (1 << 20);
  }

  /** Of a fitted model; one reverse pass for each class over the images. */
  public static JacobianFile of(FittedModel fitted, List<Provenance.Image> images)
      throws IOException {
    int classes = fitted.classes();
    int length = Math.toIntExact(fitted.plan().parameters());
    int most = Math.max(1, Math.min(fitted.plan().maxBatch(), TILE / (classes * length)));
    List<float[]> rows = new ArrayList<>();
    try (DeviceVector jacobian = fitted.engine().vector((long) most * classes * length)) {
      fitted
          .samples()
          .forEach(
              Samples.IN_ORDER,
              (batch, n, targets) -> {
                int size = batch.length / n;
                for (int from = 0; from < n; from += most) {
                  int count = Math.min(most, n - from);
                  float[] tile = new float[count * size];
                  System.arraycopy(batch, from * size, tile, 0, tile.length);
                  fitted.plan().forward(tile, count);
                  fitted.plan().jacobian(jacobian);
                  float[] values = new float[count * classes * length];
                  jacobian.read(values);
                  rows.add(values);
                }
              });
    }
    return new JacobianFile(images, rows, fitted.errors(fitted.samples(), null));
  }

  /**
   * Writes the file as a whole or not at all.
   *
   * @param model whose linearisation point J belongs to
   */
  public void write(Path file, LinearisedModel model) throws IOException {
    Map<String, String> texts = new TreeMap<>();
    texts.put("format", FORMAT);
    texts.put("point", model.pointDigest());
    new Provenance(images, List.of()).write(texts);
    Map<String, Tensor> tensors = new TreeMap<>();
    tensors.put("residual", Tensor.of(residual));
    int length = model.delta().length;
    for (int t = 0; t < rows.size(); t++) {
      tensors.put(name(t), Tensor.of(rows.get(t), rows.get(t).length / length, length));
    }
    new Safetensors(texts, tensors).write(file);
  }

  private static String name(int tile) {
    return "rows.%05d".formatted(tile);
  }

  /**
   * Reads a file.
   *
   * @param model that it must belong to: the same linearisation point and the same images
   * @throws IOException if it does not, or is damaged; says which
   */
  public static JacobianFile read(Path file, LinearisedModel model) throws IOException {
    Safetensors content = Safetensors.read(file);
    Map<String, String> texts = content.metadata();
    if (!FORMAT.equals(texts.get("format"))) {
      throw new IOException(file + " holds no Jacobian of lqf; name another file");
    }
    List<Provenance.Image> images = Provenance.read(texts).images();
    if (!model.pointDigest().equals(texts.get("point"))
        || !images.equals(model.provenance().images())) {
      throw new IOException(
          "%s belongs to another model: its linearisation point or its images are others"
              .formatted(file));
    }
    int length = model.delta().length;
    List<float[]> rows = new ArrayList<>();
    long total = 0;
    for (int t = 0; content.tensors().containsKey(name(t)); t++) {
      rows.add(content.get(name(t)).floats());
      total += rows.get(t).length;
    }
    double[] residual;
    try {
      residual = content.get("residual").doubles();
    } catch (IllegalArgumentException e) {
      throw new IOException("%s is damaged: %s; delete it".formatted(file, e.getMessage()), e);
    }
    if (residual.length != images.size() * model.labels().size()
        || total != (long) residual.length * length) {
      throw new IOException(
          "%s is damaged: it has %d values of rows and %d residuals; delete it"
              .formatted(file, total, residual.length));
    }
    return new JacobianFile(images, rows, residual);
  }
}
