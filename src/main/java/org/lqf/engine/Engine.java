package org.lqf.engine;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.ToIntBiFunction;
import org.bytedeco.javacpp.Loader;
import org.lqf.binding.Lqf;
import org.lqf.binding.LqfEngine;
import org.lqf.model.Backbone;
import org.lqf.model.LayerUnits;
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

  private final Precision precision;

  /** What "auto" tries, best first. */
  private static final List<String> PREFERENCE = List.of("cuda", "cpu");

  /** Asked once: what is wrong with a library or a driver stays so. */
  private static final Map<String, Optional<String>> CAUSES = new ConcurrentHashMap<>();

  private static final List<String> DEVICES = List.of("cuda", "cpu", "emulator", "reference");

  private Engine(LqfEngine engine, Precision precision) {
    super(engine, Lqf::lqf_engine_close);
    this.pointer = engine;
    this.precision = precision;
  }

  /** Opens a device with as many threads as this process may use (containers' limits count). */
  public static Engine open(String device) {
    return open(device, Runtime.getRuntime().availableProcessors());
  }

  /** Opens a device with {@link Winograd#F2} and {@link Precision#FP32}. */
  public static Engine open(String device, int threads) {
    return open(device, threads, Winograd.F2, Precision.FP32);
  }

  /**
   * Opens a device.
   *
   * @param device "auto" ("cuda" where it is available, else "cpu"; {@link #choice} says which and
   *     why), "cuda" (the first NVIDIA GPU), "cpu" (fast kernels), "reference" (plain loops with
   *     sums in double) or "emulator" (the kernels of "cuda" run on the CPU), the last two for
   *     checking
   * @param threads the most that a call uses, the calling thread included; results do not depend on
   *     it
   * @param winograd how 3x3 convolutions, and 7x7 ones of an image, may be summed
   * @param precision of the products in convolutions; other than FP32 it takes the tensor cores of
   *     "cuda" (or "emulator")
   * @throws IllegalArgumentException if there is no such device or threads is not positive
   * @throws LqfException if the device is not available or has no such precision; says why
   */
  public static Engine open(String device, int threads, Winograd winograd, Precision precision) {
    return open(
        device,
        precision,
        (name, engine) -> Lqf.lqf_engine_open(name, threads, winograd.outputs, engine));
  }

  /**
   * Opens a device so that everything is computed in a stream of the caller, after what the caller
   * queued there and before what it queues next. {@link Plan#predict(DeviceVector, DeviceVector,
   * int, DeviceVector)} then waits for nothing.
   *
   * @param device "cuda", or "emulator" with one of its streams
   * @param stream kept by the caller for longer than the engine and everything that it makes; not
   *     being captured, and while a call of this engine runs nobody else queues anything in it: the
   *     call may be recording a graph there
   * @throws IllegalArgumentException if the device has no streams
   * @throws LqfException if the device is not available or has no such precision; says why
   */
  public static Engine open(String device, DeviceStream stream, Precision precision) {
    return open(
        device,
        precision,
        (name, engine) ->
            Lqf.lqf_engine_open_on(name, stream.handle(), 1, Winograd.F2.outputs, engine));
  }

  private static Engine open(
      String device, Precision precision, ToIntBiFunction<String, LqfEngine> open) {
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
    check(open.applyAsInt(chosen, engine));
    Engine opened = new Engine(engine, precision);
    try {
      call(() -> Lqf.lqf_engine_set_precision(engine, precision.code()), opened);
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
    return opened;
  }

  /** Of the products in convolutions. */
  public Precision precision() {
    return precision;
  }

  /** Whether {@link #open} of this device can succeed on this machine. */
  public static boolean isAvailable(String device) {
    return unavailabilityCause(device).isEmpty();
  }

  /** Why {@link #open} of this device cannot succeed; empty if it can. */
  public static Optional<String> unavailabilityCause(String device) {
    if (device.equals("auto")) {
      return unavailabilityCause(best());
    }
    if (!DEVICES.contains(device)) {
      return Optional.of(unknown(device));
    }
    return Library.FAILURE.or(() -> CAUSES.computeIfAbsent(device, Engine::askForCause));
  }

  /** One line on what "auto" takes on this machine, and why not a better device. */
  public static String choice() {
    StringBuilder line = new StringBuilder();
    for (String device : PREFERENCE) {
      Optional<String> cause = unavailabilityCause(device);
      if (cause.isEmpty()) {
        return "device " + device + line;
      }
      line.append(line.length() == 0 ? ": no " : ", no ").append(device).append(", ");
      line.append(cause.get());
    }
    return "no device" + line;
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

  /**
   * The stream in which this engine computes, for others to join.
   *
   * @throws IllegalArgumentException if the device has no streams
   */
  public DeviceStream stream() {
    long[] handle = new long[1];
    call(() -> Lqf.lqf_engine_stream(pointer, handle), this);
    return new DeviceStream(handle[0]);
  }

  /** Waits until everything that was asked of this engine is done. Reading results does so too. */
  public void synchronise() {
    call(() -> Lqf.lqf_engine_synchronise(pointer), this);
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

  /**
   * Device memory of the caller as a vector, without a copy. What others write there is seen by
   * calls that come later in the stream.
   *
   * @param buffer kept by the caller for longer than the vector
   * @throws IllegalArgumentException if it is not memory of this device, or the device computes in
   *     the host's memory
   */
  public DeviceVector vector(DeviceBuffer buffer) {
    return DeviceVector.borrow(this, buffer);
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
   * Compiles a backbone with these of its conv2d and linear layers linearised, in units of 1. The
   * others stay at w0 and cost less.
   */
  public Plan compile(Backbone backbone, Set<String> linearisedLayers, int maxBatch) {
    return compile(backbone, LayerUnits.ones(linearisedLayers), maxBatch);
  }

  /**
   * Compiles a backbone: checks it, allocates everything its verbs need, packs its parameters.
   *
   * @param linearised the conv2d and linear nodes whose parameters are displaced, with the units in
   *     which displacements and gradients count
   * @param maxBatch the most images of one call; memory grows with it
   * @throws IllegalArgumentException naming the node that does not fit
   * @throws LqfException if there is not enough memory
   */
  public Plan compile(Backbone backbone, LayerUnits linearised, int maxBatch) {
    return PlanCompiler.compile(this, backbone, linearised, maxBatch);
  }

  @Override
  public String toString() {
    return describe();
  }

  private static Optional<String> askForCause(String device) {
    Library.unpack(device);
    return Lqf.lqf_device_check(device) == Lqf.LQF_OK
        ? Optional.empty()
        : Optional.of(Lqf.lqf_last_error().getString(StandardCharsets.UTF_8));
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

    /** Brings the library of a device out of the jar, beside liblqf, which looks for it there. */
    static void unpack(String device) {
      String file = "liblqf_" + device + ".so";
      URL resource = Lqf.class.getResource(Loader.getPlatform() + "/" + file);
      if (resource == null || resource.getProtocol().equals("file")) {
        return; // not in this build, or beside liblqf already
      }
      try {
        Loader.cacheResource(resource);
      } catch (IOException e) {
        throw new UncheckedIOException("cannot unpack " + file + " from the jar", e);
      }
    }

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
