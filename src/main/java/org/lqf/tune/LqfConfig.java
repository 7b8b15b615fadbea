package org.lqf.tune;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Consumer;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.LayerUnits;
import org.lqf.model.ParameterBlock;

/**
 * How to fine-tune. {@link #defaults} suit a few hundred to a few thousand images; change single
 * values with the {@code with…} methods.
 *
 * @param size side of the square input in pixels, or 0: the backbone's own
 * @param head start of the new last layer
 * @param layers which layers are linearised
 * @param layerDecay in (0, 1]: how freely a layer moves, in units of the one behind it; 1: all the
 *     same, see {@link #units}
 * @param targetScale α &gt; 0: targets are α for the image's class and 0 for the others
 * @param ridge λ of the mean loss, or empty: {@link #DEFAULT_RELATIVE_RIDGE} times the mean squared
 *     norm of a row of J
 * @param solver how to solve
 * @param damping γ of the Kronecker factors, or empty: {@link #DEFAULT_RELATIVE_DAMPING} times λ
 * @param epochs of the stochastic solvers
 * @param batch images of a step of the stochastic solvers; the others choose their own
 * @param rate learning rate of the stochastic solvers, or empty: measured
 * @param augment shift and flip the training images anew in every epoch (stochastic solvers only)
 * @param tolerance the conjugate gradients stop at ‖∇L(Δ)‖ ≤ tolerance · ‖∇L(0)‖
 * @param iterations the conjugate gradients stop after so many
 * @param readers threads that decode images
 * @param memory bytes that the process may hold, or empty: half of what the machine has left. What
 *     is held and, with {@link Solver#AUTO}, the solver follow it. Garbage on the heap counts as it
 *     is when planning starts: a JVM whose heap starts large lets more gather ({@code
 *     -XX:InitialHeapSize})
 * @param seed of order, augmentation and random head; the optimum does not depend on it unless one
 *     of the last two is used
 */
public record LqfConfig(
    int size,
    Head head,
    Layers layers,
    double layerDecay,
    double targetScale,
    OptionalDouble ridge,
    Solver solver,
    OptionalDouble damping,
    int epochs,
    int batch,
    OptionalDouble rate,
    boolean augment,
    double tolerance,
    int iterations,
    int readers,
    OptionalLong memory,
    long seed) {

  public static final double DEFAULT_LAYER_DECAY = 1;
  public static final double DEFAULT_TARGET_SCALE = 15;
  public static final double DEFAULT_RELATIVE_RIDGE = 1e-4;
  public static final double DEFAULT_RELATIVE_DAMPING = 10;

  private static final int LEAST = -40; // exponent of a unit

  public LqfConfig {
    require(size >= 0 && size <= 16_384, "size", "0 to 16384 pixels", size);
    require(layerDecay > 0 && layerDecay <= 1, "layer decay", "in (0, 1]", layerDecay);
    require(targetScale > 0 && targetScale < 1e6, "target scale", "in (0, 1e6)", targetScale);
    ridge.ifPresent(r -> require(r > 0 && Double.isFinite(r), "ridge", "above 0", r));
    damping.ifPresent(d -> require(d > 0 && Double.isFinite(d), "damping", "above 0", d));
    require(epochs >= 1, "epochs", "at least 1", epochs);
    require(batch >= 1 && batch <= 4096, "batch", "1 to 4096", batch);
    rate.ifPresent(r -> require(r > 0 && Double.isFinite(r), "learning rate", "above 0", r));
    require(tolerance > 0 && tolerance < 1, "tolerance", "in (0, 1)", tolerance);
    require(iterations >= 1, "iterations", "at least 1", iterations);
    require(readers >= 1, "readers", "at least 1", readers);
    memory.ifPresent(bytes -> require(bytes > 0, "memory", "above 0", bytes));
    if (augment && solver != Solver.AUTO && !solver.stochastic()) {
      throw new IllegalArgumentException(
          "solver %s needs images that stay the same; augment with %s or %s"
              .formatted(solver, Solver.SGD_KFAC, Solver.SGD));
    }
  }

  private static void require(boolean fulfilled, String name, String expected, Number got) {
    if (!fulfilled) {
      throw new IllegalArgumentException("%s must be %s, got %s".formatted(name, expected, got));
    }
  }

  public static LqfConfig defaults() {
    return new LqfConfig(
        0,
        Head.PROBE,
        Layers.ALL,
        DEFAULT_LAYER_DECAY,
        DEFAULT_TARGET_SCALE,
        OptionalDouble.empty(),
        Solver.AUTO,
        OptionalDouble.empty(),
        20,
        32,
        OptionalDouble.empty(),
        false,
        5e-4,
        1000,
        Runtime.getRuntime().availableProcessors(),
        OptionalLong.empty(),
        0);
  }

  /** What the network sees of an image: the backbone's input at this size. */
  public InputSpec input(InputSpec own) {
    return size == 0 ? own : own.withSize(size, size);
  }

  /**
   * The layers that are displaced, with their units. The head is new and has units of 1. Any other
   * layer has the root of the mean squared norm of its filters, so that the ridge counts relative
   * displacements; batch norm, folded into the filters, has scaled each layer its own way. On top
   * of it, unit² falls by layerDecay for every layer that lies behind: gradient descent in such
   * units has a rate that decays from layer to layer (discriminative fine-tuning, Howard &amp;
   * Ruder 2018). All of it as nearly as powers of two can be.
   *
   * @param network with its head
   */
  public LayerUnits units(Backbone network) {
    Set<String> chosen = layers.of(network);
    List<ParameterBlock> blocks = network.blocks();
    float[] w0 = network.w0();
    int head = blocks.size() - 1;
    Map<String, Float> units = new LinkedHashMap<>();
    for (int i = 0; i <= head; i++) {
      ParameterBlock block = blocks.get(i);
      if (chosen.contains(block.node())) {
        double norm = i == head ? 1 : filterNorm(w0, block);
        double unit = norm * Math.pow(layerDecay, (head - i) / 2.0);
        units.put(block.node(), powerOfTwo(unit));
      }
    }
    return new LayerUnits(units);
  }

  private static double filterNorm(float[] w0, ParameterBlock block) {
    double squares = 0;
    for (int i = block.weightOffset(); i < block.biasOffset(); i++) {
      squares += (double) w0[i] * w0[i];
    }
    return Math.sqrt(squares / (block.end() - block.biasOffset()));
  }

  /** The nearest one; a layer of zeros, or one too far from the head, hardly moves. */
  private static float powerOfTwo(double unit) {
    return Math.scalb(1f, (int) Math.max(LEAST, Math.rint(Math.log(unit) / Math.log(2))));
  }

  public LqfConfig withSize(int value) {
    return with(values -> values.size = value);
  }

  public LqfConfig withHead(Head value) {
    return with(values -> values.head = value);
  }

  public LqfConfig withLayers(Layers value) {
    return with(values -> values.layers = value);
  }

  public LqfConfig withLayerDecay(double value) {
    return with(values -> values.layerDecay = value);
  }

  public LqfConfig withTargetScale(double value) {
    return with(values -> values.targetScale = value);
  }

  public LqfConfig withRidge(double value) {
    return with(values -> values.ridge = OptionalDouble.of(value));
  }

  public LqfConfig withSolver(Solver value) {
    return with(values -> values.solver = value);
  }

  public LqfConfig withDamping(double value) {
    return with(values -> values.damping = OptionalDouble.of(value));
  }

  public LqfConfig withEpochs(int value) {
    return with(values -> values.epochs = value);
  }

  public LqfConfig withBatch(int value) {
    return with(values -> values.batch = value);
  }

  public LqfConfig withRate(double value) {
    return with(values -> values.rate = OptionalDouble.of(value));
  }

  public LqfConfig withAugment(boolean value) {
    return with(values -> values.augment = value);
  }

  public LqfConfig withTolerance(double value) {
    return with(values -> values.tolerance = value);
  }

  public LqfConfig withIterations(int value) {
    return with(values -> values.iterations = value);
  }

  public LqfConfig withReaders(int value) {
    return with(values -> values.readers = value);
  }

  public LqfConfig withMemory(long value) {
    return with(values -> values.memory = OptionalLong.of(value));
  }

  public LqfConfig withSeed(long value) {
    return with(values -> values.seed = value);
  }

  private LqfConfig with(Consumer<Values> change) {
    Values values = new Values(this);
    change.accept(values);
    return values.config();
  }

  /** The components of a configuration while one of them changes. */
  private static final class Values {
    private int size;
    private Head head;
    private Layers layers;
    private double layerDecay;
    private double targetScale;
    private OptionalDouble ridge;
    private Solver solver;
    private OptionalDouble damping;
    private int epochs;
    private int batch;
    private OptionalDouble rate;
    private boolean augment;
    private double tolerance;
    private int iterations;
    private int readers;
    private OptionalLong memory;
    private long seed;

    Values(LqfConfig config) {
      size = config.size;
      head = config.head;
      layers = config.layers;
      layerDecay = config.layerDecay;
      targetScale = config.targetScale;
      ridge = config.ridge;
      solver = config.solver;
      damping = config.damping;
      epochs = config.epochs;
      batch = config.batch;
      rate = config.rate;
      augment = config.augment;
      tolerance = config.tolerance;
      iterations = config.iterations;
      readers = config.readers;
      memory = config.memory;
      seed = config.seed;
    }

    LqfConfig config() {
      return new LqfConfig(
          size,
          head,
          layers,
          layerDecay,
          targetScale,
          ridge,
          solver,
          damping,
          epochs,
          batch,
          rate,
          augment,
          tolerance,
          iterations,
          readers,
          memory,
          seed);
    }
  }
}
