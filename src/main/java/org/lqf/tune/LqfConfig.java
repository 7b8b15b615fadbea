package org.lqf.tune;

import java.util.OptionalDouble;
import java.util.OptionalLong;
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
    return new LqfConfig(
        value,
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

  public LqfConfig withHead(Head value) {
    return new LqfConfig(
        size,
        value,
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

  public LqfConfig withLayers(Layers value) {
    return new LqfConfig(
        size,
        head,
        value,
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

  public LqfConfig withTargetScale(double value) {
    return new LqfConfig(
        size,
        head,
        layers,
        value,
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

  public LqfConfig withRidge(double value) {
    return new LqfConfig(
        size,
        head,
        layers,
        targetScale,
        OptionalDouble.of(value),
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

  public LqfConfig withSolver(Solver value) {
    return new LqfConfig(
        size,
        head,
        layers,
        targetScale,
        ridge,
        value,
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

  public LqfConfig withDamping(double value) {
    return new LqfConfig(
        size,
        head,
        layers,
        targetScale,
        ridge,
        solver,
        OptionalDouble.of(value),
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

  public LqfConfig withEpochs(int value) {
    return new LqfConfig(
        size,
        head,
        layers,
        targetScale,
        ridge,
        solver,
        damping,
        value,
        batch,
        rate,
        augment,
        tolerance,
        iterations,
        readers,
        memory,
        seed);
  }

  public LqfConfig withBatch(int value) {
    return new LqfConfig(
        size,
        head,
        layers,
        targetScale,
        ridge,
        solver,
        damping,
        epochs,
        value,
        rate,
        augment,
        tolerance,
        iterations,
        readers,
        memory,
        seed);
  }

  public LqfConfig withRate(double value) {
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
        OptionalDouble.of(value),
        augment,
        tolerance,
        iterations,
        readers,
        memory,
        seed);
  }

  public LqfConfig withAugment(boolean value) {
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
        value,
        tolerance,
        iterations,
        readers,
        memory,
        seed);
  }

  public LqfConfig withTolerance(double value) {
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
        value,
        iterations,
        readers,
        memory,
        seed);
  }

  public LqfConfig withIterations(int value) {
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
        value,
        readers,
        memory,
        seed);
  }

  public LqfConfig withReaders(int value) {
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
        value,
        memory,
        seed);
  }

  public LqfConfig withMemory(long value) {
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
        OptionalLong.of(value),
        seed);
  }

  public LqfConfig withSeed(long value) {
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
        value);
  }
}
