package org.lqf.baseline;

import java.io.IOException;
import java.util.function.IntToDoubleFunction;
import org.jspecify.annotations.Nullable;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.solve.Samples;

/**
 * Stochastic gradient descent with momentum on Δ, w = w0 + unit · Δ, for either loss, on the
 * network itself or on its linearisation. Batch norm is folded, so its statistics stay what they
 * were.
 *
 * <p>A step: gradient = mean gradient of the batch + λΔ; velocity = m · velocity − rate · gradient,
 * preconditioned or not; Δ += velocity.
 *
 * @param model what is trained
 * @param loss over a batch, its mean
 * @param ridge λ ≥ 0: λ/2 ‖Δ‖² is added to the loss
 * @param momentum m in [0, 1)
 * @param epochs passes over the images, ≥ 1
 * @param rates learning rate of each epoch from 0 on
 */
public record Descent(
    Model model, Loss loss, double ridge, double momentum, int epochs, IntToDoubleFunction rates) {

  /** What is trained. */
  public enum Model {
    /** f(x; w0) + J(w0)Δ: the plan stays at w0. */
    LINEARISED,
    /** f(x; w0 + Δ), ordinary fine-tuning: the plan moves, and is left at w0 + Δ. */
    MOVING
  }

  /** The loss of a run that is lost, in units of the first one. */
  private static final double DIVERGED = 1e4;

  public Descent {
    if (epochs < 1 || !(ridge >= 0) || !(momentum >= 0 && momentum < 1)) {
      throw new IllegalArgumentException(
          "epochs ≥ 1, ridge ≥ 0 and momentum in [0, 1) expected, got %d, %s and %s"
              .formatted(epochs, ridge, momentum));
    }
  }

  /** A rate that stays for half of the epochs and then falls to 0 along a quarter of a cosine. */
  public static IntToDoubleFunction decaying(double rate, int epochs) {
    return epoch -> rate * Math.cos(Math.PI / 2 * Math.max(0, 2.0 * epoch / epochs - 1));
  }

  /**
   * Moves delta.
   *
   * @param plan at w0; its last forward is overwritten
   * @param samples batches of at most plan.maxBatch() images; the order follows the epoch
   * @param factors inverted, or null for none
   * @param delta [parameters], the start (usually zeros), overwritten
   * @return mean loss of each epoch without the ridge, taken while Δ moved
   * @throws ArithmeticException if the loss grows beyond all bounds: the rate is too large
   */
  public double[] run(
      Engine engine,
      Plan plan,
      Samples samples,
      @Nullable KroneckerFactors factors,
      DeviceVector delta)
      throws IOException {
    try (Batches batches = new Batches(engine, plan, factors, delta)) {
      double[] losses = new double[epochs];
      for (int epoch = 0; epoch < epochs; epoch++) {
        double rate = rates.applyAsDouble(epoch);
        batches.loss = 0;
        samples.forEach(
            epoch, (images, n, targets) -> batches.step(this, images, n, targets, rate));
        losses[epoch] = batches.loss / samples.size();
        if (!(losses[epoch] <= DIVERGED * Math.max(1, losses[0]))) {
          throw new ArithmeticException(
              "diverged in epoch %d at learning rate %.3g; use a smaller one"
                  .formatted(epoch + 1, rate));
        }
      }
      return losses;
    }
  }

  /** The vectors of one run. */
  private static final class Batches implements AutoCloseable {
    private final Plan plan;
    private final @Nullable KroneckerFactors factors;
    private final DeviceVector delta;
    private final DeviceVector start; // w0
    private final DeviceVector gradient; // then w0 + Δ
    private final DeviceVector velocity;
    private final DeviceVector step;
    private final DeviceVector outputs; // [maxBatch, classes]; then cotangents
    private final DeviceVector tangents;
    private double loss; // sum of an epoch

    Batches(Engine engine, Plan plan, @Nullable KroneckerFactors factors, DeviceVector delta) {
      this.plan = plan;
      this.factors = factors;
      this.delta = delta;
      this.start = engine.vector(plan.backbone().w0());
      this.gradient = engine.vector(delta.length());
      this.velocity = engine.vector(delta.length());
      this.step = engine.vector(delta.length());
      this.outputs = engine.vector((long) plan.maxBatch() * plan.classes());
      this.tangents = engine.vector(outputs.length());
    }

    void step(Descent descent, float[] images, int n, float[] targets, double rate) {
      if (descent.model == Model.LINEARISED) {
        plan.forwardJvp(images, n, delta, tangents);
        plan.outputs(outputs);
        outputs.add(1, tangents);
      } else {
        plan.forward(images, n);
        plan.outputs(outputs);
      }
      float[] values = new float[n * plan.classes()];
      outputs.read(values);
      float[] cotangent = new float[values.length];
      loss += descent.loss.evaluate(values, targets, n, plan.classes(), cotangent);
      for (int i = 0; i < cotangent.length; i++) {
        cotangent[i] /= n;
      }
      gradient.set(delta).scale(descent.ridge);
      plan.vjp(outputs.write(cotangent), gradient);
      if (factors == null) {
        velocity.scale(descent.momentum).add(-rate, gradient);
      } else {
        factors.precondition(gradient, step);
        velocity.scale(descent.momentum).add(-rate, step);
      }
      delta.add(1, velocity);
      if (descent.model == Model.MOVING) {
        plan.displacement(delta, gradient);
        plan.setParameters(gradient.add(1, start));
      }
    }

    @Override
    public void close() {
      start.close();
      gradient.close();
      velocity.close();
      step.close();
      outputs.close();
      tangents.close();
    }
  }
}
