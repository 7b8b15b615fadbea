package org.lqf.tune;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.lqf.model.Safetensors;
import org.lqf.model.Tensor;
import org.lqf.solve.Checkpoint;

/**
 * The state of a solver or a training in a safetensors file, written at most every few seconds,
 * each time as a whole. It belongs to one training: the key says which.
 */
public final class CheckpointFile implements Checkpoint {

  private static final String FORMAT = "lqf-checkpoint/1";
  private static final long INTERVAL_NANOS = 5_000_000_000L;

  private final Path file;
  private final @Nullable State stored;
  private final String key;
  private long next; // System.nanoTime() of the next write

  private CheckpointFile(Path file, String key, @Nullable State stored) {
    this.file = file;
    this.key = key;
    this.stored = stored;
    this.next = System.nanoTime(); // the first iteration is stored at once
  }

  /**
   * Opens a checkpoint, there or not.
   *
   * @param key everything that decides the result of the training
   * @throws IOException if the file is damaged or belongs to another training
   */
  public static CheckpointFile open(Path file, String key) throws IOException {
    if (!Files.exists(file)) {
      return new CheckpointFile(file, key, null);
    }
    Safetensors content = Safetensors.read(file);
    Map<String, String> texts = content.metadata();
    if (!FORMAT.equals(texts.get("format"))) {
      throw new IOException(file + " is no checkpoint of lqf; move it away");
    }
    if (!key.equals(texts.get("key"))) {
      throw new IOException(
          "%s belongs to another training (other images, network or options); give the same ones, or start without it"
              .formatted(file));
    }
    Map<String, Double> numbers = new HashMap<>();
    Map<String, float[]> vectors = new HashMap<>();
    try {
      texts.forEach(
          (name, value) -> {
            if (name.startsWith("number.")) {
              numbers.put(name.substring("number.".length()), Double.valueOf(value));
            }
          });
      content.tensors().forEach((name, tensor) -> vectors.put(name, tensor.floats()));
      int iteration = Integer.parseInt(texts.getOrDefault("iteration", "?"));
      return new CheckpointFile(file, key, new State(iteration, numbers, vectors));
    } catch (IllegalArgumentException e) {
      throw new IOException("%s is damaged: %s; delete it".formatted(file, e.getMessage()), e);
    }
  }

  @Override
  public Optional<State> restore() {
    return Optional.ofNullable(stored);
  }

  @Override
  public void offer(Supplier<State> supplier) throws IOException {
    if (System.nanoTime() - next < 0) {
      return;
    }
    State state = supplier.get();
    Map<String, String> texts = new TreeMap<>();
    texts.put("format", FORMAT);
    texts.put("key", key);
    texts.put("iteration", Integer.toString(state.iteration()));
    state.numbers().forEach((name, value) -> texts.put("number." + name, Double.toString(value)));
    Map<String, Tensor> tensors = new TreeMap<>();
    state.vectors().forEach((name, values) -> tensors.put(name, Tensor.of(values)));
    new Safetensors(texts, tensors).write(file);
    next = System.nanoTime() + INTERVAL_NANOS;
  }
}
