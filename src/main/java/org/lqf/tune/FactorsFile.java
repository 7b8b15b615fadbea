package org.lqf.tune;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.model.Safetensors;
import org.lqf.model.Tensor;

/**
 * Kronecker factors on disk, as safetensors: of each layer {@code NAME.input} A [in + 1, in + 1]
 * and {@code NAME.output} Γ [out, out] in double. They are constants of network, head and images,
 * so trainings that differ in ridge, damping or solver share them.
 */
final class FactorsFile {

  private static final String FORMAT = "lqf-factors/1";

  private FactorsFile() {}

  /**
   * Fills factors from a file, bit for bit what {@link #write} was given.
   *
   * @param key network, head, images and layers that the factors belong to
   * @return false if there is no such file
   * @throws IOException if the file is damaged or belongs to something else
   */
  static boolean read(Path file, String key, KroneckerFactors factors) throws IOException {
    if (!Files.exists(file)) {
      return false;
    }
    Safetensors content = Safetensors.read(file);
    Map<String, String> texts = content.metadata();
    if (!FORMAT.equals(texts.get("format"))) {
      throw new IOException(file + " holds no Kronecker factors of lqf; name another file");
    }
    if (!key.equals(texts.get("key"))) {
      throw new IOException(
          "%s holds the factors of another network, head or set of images; name another file"
              .formatted(file));
    }
    try {
      long samples = Long.parseLong(texts.getOrDefault("samples", "?"));
      for (int i = 0; i < factors.layers().size(); i++) {
        String name = factors.layers().get(i);
        factors.write(
            i,
            samples,
            content.get(name + ".input").doubles(),
            content.get(name + ".output").doubles());
      }
    } catch (IllegalArgumentException e) {
      throw new IOException("%s is damaged: %s; delete it".formatted(file, e.getMessage()), e);
    }
    return true;
  }

  static void write(Path file, String key, KroneckerFactors factors) throws IOException {
    Map<String, Tensor> tensors = new TreeMap<>();
    for (int i = 0; i < factors.layers().size(); i++) {
      String name = factors.layers().get(i);
      long in = factors.inputSide(i);
      long out = factors.outputSide(i);
      tensors.put(name + ".input", Tensor.of(factors.input(i), in, in));
      tensors.put(name + ".output", Tensor.of(factors.output(i), out, out));
    }
    Map<String, String> texts =
        Map.of("format", FORMAT, "key", key, "samples", Long.toString(factors.samples()));
    new Safetensors(texts, tensors).write(file);
  }
}
