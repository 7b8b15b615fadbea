package org.lqf.solve;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.engine.DeviceVector;
import org.lqf.model.Certificate;

/**
 * Stochastic gradient descent with momentum, plain or preconditioned by inverted Kronecker factors:
 * the paper's solver, and the one for images that change with every epoch.
 *
 * <p>A step: gradient = batch gradient + λΔ; step = (Γ ⊗ A + γ)⁻¹ gradient; velocity = m · velocity
 * − rate · step; Δ += velocity. The rate stays for the first half of the epochs and then falls to
 * zero along a quarter of a cosine, which averages the noise of the batches away.
 *
 * @param epochs passes over the images, ≥ 1
 * @param rate learning rate, or NaN: 0.3/λmax of the preconditioned batch Hessian, measured. Steps
 *     of one batch are stable up to 2(1 + m)/λmax; batches that change are so up to less, which no
 *     formula tells (at 0.5/λmax, 1,000 images in batches of 32 were not any more). So where the
 *     loss has doubled since its least, a measured rate is halved and the momentum forgotten
 * @param momentum m in [0, 1)
 */
public record Sgd(int epochs, double rate, double momentum) {

  public Sgd {
    if (epochs < 1 || rate <= 0 || !(momentum >= 0 && momentum < 1)) {
      throw new IllegalArgumentException(
          "epochs ≥ 1, rate > 0 and momentum in [0, 1) expected, got %d, %s and %s"
              .formatted(epochs, rate, momentum));
    }
  }

  /** Rate in an epoch, as a part of the first. */
  private double schedule(int epoch) {
    double late = 2.0 * epoch / epochs - 1; // in the second half from 0 to 1
    return late <= 0 ? 1 : Math.cos(Math.PI / 2 * late);
  }

  /**
   * Moves delta towards the optimum.
   *
   * @param factors inverted, or null for plain SGD
   * @param delta [parameters], the start (usually zeros), overwritten
   * @throws ArithmeticException if the loss grows beyond all bounds: the rate is too large
   */
  public Solution solve(
      LeastSquares problem,
      @Nullable KroneckerFactors factors,
      DeviceVector delta,
      Progress progress,
      Checkpoint checkpoint)
      throws IOException {
    List<Progress.Step> trace = new ArrayList<>();
    try (DeviceVector velocity = problem.engine().vector(delta.length());
        DeviceVector gradient = problem.engine().vector(delta.length());
        DeviceVector step = problem.engine().vector(delta.length())) {
      double first;
      double least = Double.POSITIVE_INFINITY;
      int begin = 0;
      Optional<Checkpoint.State> stored = checkpoint.restore();
      if (stored.isPresent()) {
        begin = stored.get().iteration();
        first = stored.get().number("rate");
        least = stored.get().number("least loss");
        delta.write(stored.get().vector("delta"));
        velocity.write(stored.get().vector("velocity"));
      } else {
        first = Double.isNaN(rate) ? 0.3 / LargestEigenvalue.ofBatches(problem, factors) : rate;
      }
      for (int epoch = begin; epoch < epochs; epoch++) {
        double epochRate = first * schedule(epoch);
        double[] squares = new double[1];
        problem
            .samples()
            .forEach(
                epoch,
                (images, n, targets) -> {
                  gradient.set(delta).scale(problem.ridge());
                  problem.plan().forwardJvp(images, n, delta, problem.vector(n));
                  problem.addGradient(problem.residual(n, targets), 1.0 / n, gradient, squares);
                  if (factors == null) {
                    velocity.scale(momentum).add(-epochRate, gradient);
                  } else {
                    factors.precondition(gradient, step);
                    velocity.scale(momentum).add(-epochRate, step);
                  }
                  delta.add(1, velocity);
                });
        double loss =
            squares[0] / (2.0 * problem.samples().size()) + problem.ridge() / 2 * delta.dot(delta);
        if (!Double.isFinite(loss)) {
          throw new ArithmeticException(
              "SGD diverged in epoch %d at learning rate %.3g; use a smaller one, or more damping"
                  .formatted(epoch + 1, epochRate));
        }
        if (Double.isNaN(rate) && loss > 2 * least) {
          first /= 2;
          velocity.fill(0);
        }
        least = Math.min(least, loss);
        // The loss of an epoch is the mean over its batches while Δ moved; the gradient is unknown.
        Progress.Step done = new Progress.Step(epoch + 1, (epoch + 1.0) / epochs, loss, Double.NaN);
        trace.add(done);
        progress.report(done);
        int finished = epoch + 1;
        Map<String, Double> numbers = Map.of("rate", first, "least loss", least);
        checkpoint.offer(
            () ->
                new Checkpoint.State(
                    finished,
                    numbers,
                    Map.of("delta", delta.toArray(), "velocity", velocity.toArray())));
      }
      Certificate certificate = problem.certify(delta, gradient);
      return new Solution(epochs, certificate, true, trace);
    }
  }
}
