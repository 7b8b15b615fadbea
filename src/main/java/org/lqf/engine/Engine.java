package org.lqf.engine;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.lqf.binding.Lqf;
import org.lqf.binding.LqfEngine;
import org.lqf.model.Backbone;
import org.lqf.model.ParameterBlock;

/**
 * A device with its threads and memory: the maker of vectors, plans and matrices.
 *
 * <p>Objects of one engine may be combined with each other, not with those of another. Calls from
 * several threads are safe; the engine runs one at a time, with all its threads. What an engine
 * made stays usable after the engine is closed, and the device is released with the last of them.
 */
public final class Engine extends Handle {

  final LqfEngine pointer;

  /** What "auto" tries, best first. */
  private static final List<String> PREFERENCE = List.of("cpu");

  private static final List<String> DEVICES = List.of("cpu", "reference");

  private Engine(LqfEngine engine) {
    super(engine, Lqf::lqf_engine_close);
    this.pointer = engine;
  }

  /** Opens a device with as many threads as this process may use (containers' limits count). */
  public static Engine open(String device) {
    return open(device, Runtime.getRuntime().availableProcessors());
  }

  /**
   * Opens a device.
   *
   * @param device "auto" (the best that is available), "cpu" (fast kernels) or "reference" (plain
   *     loops with sums in double, for checking)
   * @param threads the most that a call uses, the calling thread included; results do not depend on
   *     it
   * @throws IllegalArgumentException if there is no such device or threads is not positive
   * @throws LqfException if the device is not available; says why
   */
  public static Engine open(String device, int threads) {
    String chosen = device.equals("auto") ? best() : device;
    if (!DEVICES.contains(chosen)) {
      throw new IllegalArgumentException(unknown(chosen));
    }
    unavailabilityCause(chosen)
        .ifPresent(
            cause -> {
              throw new LqfException(
                  LqfException.Status.UNAVAILABLE, "device " + chosen + ": " + cause);
            });
    LqfEngine engine = new LqfEngine();
    check(Lqf.lqf_engine_open(chosen, threads, engine));
    return new Engine(engine);
  }

  /** Whether {@link #open} of this device can succeed on this machine. */
  public static boolean isAvailable(String device) {
    return unavailabilityCause(device).isEmpty();
  }

  /** Why {@link #open} of this device cannot succeed; empty if it can. */
  public static Optional<String> unavailabilityCause(String device) {
    return device.equals("auto") || DEVICES.contains(device)
        ? Library.FAILURE
        : Optional.of(unknown(device));
  }

  /** One line: device, instruction set, threads. */
  public String describe() {
    return text(this, text -> Lqf.lqf_engine_describe(pointer, text, text.length));
  }

  /** Bytes that this engine and everything it made hold now. */
  public long memoryBytes() {
    long[] bytes = new long[1];
    call(() -> Lqf.lqf_engine_memory(pointer, bytes), this);
    return bytes[0];
  }

  /** A vector of zeros. */
  public DeviceVector vector(long length) {
    return DeviceVector.create(this, length);
  }

  /** A vector with these values, copied. */
  public DeviceVector vector(float[] values) {
    DeviceVector vector = vector(values.length);
    try {
      return vector.write(values);
    } catch (RuntimeException e) {
      vector.close();
      throw e;
    }
  }

  /** A symmetric matrix [side, side] of zeros. */
  public SymmetricMatrix matrix(int side) {
    return SymmetricMatrix.create(this, side);
  }

  /** Compiles a backbone with all its conv2d and linear layers linearised. */
  public Plan compile(Backbone backbone, int maxBatch) {
    Set<String> all = new LinkedHashSet<>();
    for (ParameterBlock block : backbone.blocks()) {
      all.add(block.node());
    }
    return compile(backbone, all, maxBatch);
  }

  /**
   * Compiles a backbone: checks it, allocates everything its verbs need, packs its parameters.
   *
   * @param linearisedLayers names of the conv2d and linear nodes whose parameters are displaced;
   *     the others stay at w0 and cost less
   * @param maxBatch the most images of one call; memory grows with it
   * @throws IllegalArgumentException naming the node that does not fit
   * @throws LqfException if there is not enough memory
   */
  public Plan compile(Backbone backbone, Set<String> linearisedLayers, int maxBatch) {
    return PlanCompiler.compile(this, backbone, linearisedLayers, maxBatch);
  }

  @Override
  public String toString() {
    return describe();
  }

  private static String best() {
    return PREFERENCE.stream().filter(Engine::isAvailable).findFirst().orElse("cpu");
  }

  private static String unknown(String device) {
    return "unknown device \"%s\", expected auto, %s".formatted(device, String.join(", ", DEVICES));
  }

  /**
   * Whether the native library loads, asked once: the second touch of a class that failed to
   * initialise says nothing of the reason.
   */
  private static final class Library {
    static final Optional<String> FAILURE = load();

    private static Optional<String> load() {
      try {
        int version = Lqf.lqf_abi_version();
        return version == Lqf.LQF_ABI_VERSION
            ? Optional.empty()
            : Optional.of(
                "the native library speaks ABI %d, this jar %d; rebuild both together"
                    .formatted(version, Lqf.LQF_ABI_VERSION));
      } catch (LinkageError e) {
        Throwable root = e; // JavaCPP's own message hides the reason
        while (root.getCause() != null) {
          root = root.getCause();
        }
        return Optional.of("the native library does not load: " + root.getMessage());
      }
    }
  }
}
