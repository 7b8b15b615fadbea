package org.lqf.curvature;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.lqf.binding.Lqf;
import org.lqf.binding.LqfFactors;
import org.lqf.binding.LqfPlan;
import org.lqf.binding.LqfVector;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Handle;
import org.lqf.engine.Plan;

/**
 * The Gauss-Newton matrix (1/N) JᵀJ, approximated by one Kronecker product Γ ⊗ A for each
 * linearised layer: A [in + 1, in + 1] from its inputs (the bias counts as a last input of 1), Γ
 * [out, out] from the cotangents of its outputs.
 *
 * <p>The factors are constants of backbone and images: no label enters, they are computed once and
 * may be stored and {@linkplain #write restored}. Sources: Martens &amp; Grosse 2015 (K-FAC),
 * Grosse &amp; Martens 2016 (convolutions), Eschenhagen et al. 2023 (expand and reduce).
 *
 * <p>Use: {@link #accumulate} after each {@code plan.forward}, then {@link #invert}, then {@link
 * #precondition} as often as wanted.
 */
public final class KroneckerFactors extends Handle {

  private final LqfFactors pointer;
  private final List<String> layers;
  private final long parameters;
  private final Sharing sharing;

  private KroneckerFactors(LqfFactors factors, Plan plan, Sharing sharing) {
    super(factors, Lqf::lqf_factors_destroy);
    this.pointer = factors;
    this.layers = List.copyOf(plan.linearised().layers());
    this.parameters = plan.parameters();
    this.sharing = sharing;
  }

  /** Factors without images, for the linearised layers of a plan. */
  public static KroneckerFactors create(Plan plan, Sharing sharing) {
    int mode =
        switch (sharing) {
          case EXPAND -> Lqf.LQF_EXPAND;
          case REDUCE -> Lqf.LQF_REDUCE;
        };
    LqfFactors factors = new LqfFactors();
    call(() -> Lqf.lqf_factors_create(pointer(plan, LqfPlan.class), mode, factors), plan);
    return new KroneckerFactors(factors, plan, sharing);
  }

  public Sharing sharing() {
    return sharing;
  }

  /** Names of the linearised layers, in node order; other methods take an index into them. */
  public List<String> layers() {
    return layers;
  }

  /** Side of A of a layer: in + 1. */
  public int inputSide(int layer) {
    return side(layer, 0);
  }

  /** Side of Γ of a layer: out. */
  public int outputSide(int layer) {
    return side(layer, 1);
  }

  /** Images added so far. */
  public long samples() {
    long[] samples = new long[1];
    call(() -> Lqf.lqf_factors_samples(pointer, samples), this);
    return samples[0];
  }

  /**
   * Adds the images of the plan's last forward, with exact output factors: one reverse pass for
   * each class.
   */
  public KroneckerFactors accumulate(Plan plan) {
    return accumulate(plan, 0, 0);
  }

  /**
   * Adds the images of the plan's last forward.
   *
   * @param probes random ±1 cotangents per image in place of the classes, an unbiased estimate; 0:
   *     exact
   * @param seed the probes of an image depend on this and on how many images were added before it
   * @throws IllegalStateException if the plan has seen no images
   */
  public KroneckerFactors accumulate(Plan plan, int probes, long seed) {
    if (plan.images() == 0) {
      throw new IllegalStateException("the plan has no images: call its forward first");
    }
    call(
        () -> Lqf.lqf_factors_accumulate(pointer, pointer(plan, LqfPlan.class), probes, seed),
        this,
        plan);
    return this;
  }

  /**
   * Factorises; to be repeated after accumulate or write.
   *
   * @throws org.lqf.engine.LqfException with status NUMERIC, naming layer, pivot and damping, if a
   *     damped factor is not positive definite
   */
  public KroneckerFactors invert(Damping damping) {
    int kind =
        switch (damping.kind()) {
          case FACTORED -> Lqf.LQF_DAMPING_FACTORED;
          case EXACT -> Lqf.LQF_DAMPING_EXACT;
        };
    call(() -> Lqf.lqf_factors_invert(pointer, damping.value(), kind), this);
    return this;
  }

  /**
   * step = (Γ ⊗ A + damping)⁻¹ gradient, layer by layer.
   *
   * @param gradient [parameters], read
   * @param step [parameters], overwritten; 0 for frozen layers
   */
  public void precondition(DeviceVector gradient, DeviceVector step) {
    checkParameters("gradient", gradient);
    checkParameters("step", step);
    call(
        () ->
            Lqf.lqf_factors_precondition(
                pointer, pointer(gradient, LqfVector.class), pointer(step, LqfVector.class)),
        this,
        gradient,
        step);
  }

  /** The mean input factor A of a layer, [in + 1, in + 1] row-major. */
  public double[] input(int layer) {
    double[] input = new double[square(inputSide(layer))];
    read(layer, input, null);
    return input;
  }

  /** The mean output factor Γ of a layer, [out, out] row-major. */
  public double[] output(int layer) {
    double[] output = new double[square(outputSide(layer))];
    read(layer, null, output);
    return output;
  }

  /**
   * Sets the factors of a layer to what {@link #input} and {@link #output} gave. When all layers
   * are written, everything is as it was, bit for bit.
   *
   * @param samples images that they are the mean of, the same for all layers
   * @param input A [in + 1, in + 1], copied
   * @param output Γ [out, out], copied
   */
  public KroneckerFactors write(int layer, long samples, double[] input, double[] output) {
    checkSize("input", inputSide(layer), input);
    checkSize("output", outputSide(layer), output);
    call(() -> Lqf.lqf_factors_write(pointer, layer, samples, input, output), this);
    return this;
  }

  @Override
  public String toString() {
    return "KroneckerFactors[%d layers, %s]".formatted(layers.size(), sharing);
  }

  @SuppressWarnings(
      "NullAway") // null is "not wanted" in lqf.h; the generated binding cannot say so
  private void read(int layer, double @Nullable [] input, double @Nullable [] output) {
    call(() -> Lqf.lqf_factors_read(pointer, layer, input, output), this);
  }

  private static int square(int side) {
    return Math.multiplyExact(side, side);
  }

  private int side(int layer, int which) {
    int[][] sides = new int[2][1];
    call(() -> Lqf.lqf_factors_sides(pointer, layer, sides[0], sides[1]), this);
    return sides[which][0];
  }

  private static void checkSize(String name, int side, double[] matrix) {
    if (matrix.length != (long) side * side) {
      throw new IllegalArgumentException(
          "%s: expected [%d,%d], got %d values".formatted(name, side, side, matrix.length));
    }
  }

  private void checkParameters(String name, DeviceVector vector) {
    if (vector.length() != parameters) {
      throw new IllegalArgumentException(
          "%s: expected %d parameters, got %d entries"
              .formatted(name, parameters, vector.length()));
    }
  }
}
