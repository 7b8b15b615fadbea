package org.lqf.tune;

import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.Consumer;
import org.lqf.model.InputSpec;

/**
 * How to fine-tune. {@link #defaults} suit a few hundred to a few thousand images; change single
 * values with the {@code with…} methods.
 *
 * @param size side of the square input in pixels, or 0: the backbone's own
 * @param head start of the new last layer
 * @param layers which layers are linearised
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
 *     is held and, with {@link Solver#AUTO}, the solver follow it
 * @param seed of order, augmentation and random head; the optimum does not depend on it unless one
 *     of the last two is used
 */
public record LqfConfig(
    int size,
    Head head,
    Layers layers,
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

  public static final double DEFAULT_TARGET_SCALE = 15;
  public static final double DEFAULT_RELATIVE_RIDGE = 1e-4;
  public static final double DEFAULT_RELATIVE_DAMPING = 10;

  public LqfConfig {
    require(size >= 0 && size <= 16_384, "size", "0 to 16384 pixels", size);
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

  public LqfConfig withSize(int value) {
    return with(values -> values.size = value);
  }

  public LqfConfig withHead(Head value) {
    return with(values -> values.head = value);
  }

  public LqfConfig withLayers(Layers value) {
    return with(values -> values.layers = value);
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
