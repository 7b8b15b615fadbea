package org.lqf.solve;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Precision;
import org.lqf.model.Certificate;

/**
 * Conjugate gradients on HΔ = −∇L(0), optionally preconditioned: one jvp and one vjp over the
 * images an iteration.
 *
 * <p>Sums are in single precision, so the residual of the recurrence drifts away from the true one.
 * When the recurrence says that it is done, the gradient is computed anew, and the search restarts
 * from it until the true gradient meets the tolerance or no longer falls.
 *
 * <p>A preconditioner that inverts a part A of H costs nothing: A·direction comes from the
 * residuals by the recurrence that the direction comes by, and only (H − A)·direction needs the
 * images, those that are not in the part. Source of the idea: Eisenstat 1981, doi 10.1137/0902001.
 * It takes A⁻¹ for exact: products that are 10⁻⁵ off change no step, with 10⁻³ the true gradient
 * stays at six times a tolerance of 5·10⁻³ (simulated: 1,000 images of fashion10, a fifth of them
 * in the part). So with less than single precision all of H is multiplied by.
 *
 * @param tolerance stop at ‖∇L(Δ)‖ ≤ tolerance · ‖∇L(0)‖
 * @param maxIterations steps in all, ≥ 1
 */
public record ConjugateGradient(double tolerance, int maxIterations) {

  /** A restart must bring the true gradient to less than this part of what it was. */
  private static final double WORTHWHILE = 0.5;

  public ConjugateGradient {
    if (!(tolerance > 0 && tolerance < 1) || maxIterations < 1) {
      throw new IllegalArgumentException(
          "tolerance must lie in (0, 1) and iterations be at least 1, got %s and %d"
              .formatted(tolerance, maxIterations));
    }
  }

  /**
   * Moves delta to the optimum.
   *
   * @param preconditioner or null for none
   * @param delta [parameters], the start (usually zeros), overwritten
   */
  public Solution solve(
      LeastSquares problem,
      @Nullable Preconditioner preconditioner,
      DeviceVector delta,
      Progress progress,
      Checkpoint checkpoint)
      throws IOException {
    try (Search search = new Search(problem, preconditioner, null, delta, progress)) {
      return search.run(this, checkpoint);
    }
  }

  /**
   * Moves delta to the optimum of the problem that the part is a part of.
   *
   * @param part preconditions
   * @param delta [parameters], the start (usually zeros), overwritten
   */
  public Solution solve(
      SubsampledHessian part, DeviceVector delta, Progress progress, Checkpoint checkpoint)
      throws IOException {
    boolean exact = part.problem().engine().precision() == Precision.FP32;
    try (Search search = new Search(part.problem(), part, exact ? part : null, delta, progress)) {
      return search.run(this, checkpoint);
    }
  }

  /** The vectors and numbers of one run. */
  private static final class Search implements AutoCloseable {
    private final LeastSquares problem;
    private final @Nullable Preconditioner preconditioner;
    private final @Nullable SubsampledHessian part; // A, if its products are left out; or null
    private final Progress progress;
    private final List<Progress.Step> trace = new ArrayList<>();
    private final DeviceVector delta;
    private final DeviceVector residual; // −∇L(Δ) by recurrence
    private final DeviceVector direction;
    private final DeviceVector product; // H·direction, then the preconditioned residual
    private final @Nullable DeviceVector image; // A·direction, where there is a part
    private int iteration;
    private double startNorm; // ‖∇L‖ at the start
    private double restartNorm; // ‖∇L‖ at the last restart
    private double loss;
    private double rho; // ⟨residual, preconditioned residual⟩

    Search(
        LeastSquares problem,
        @Nullable Preconditioner preconditioner,
        @Nullable SubsampledHessian part,
        DeviceVector delta,
        Progress progress) {
      Engine engine = problem.engine();
      this.problem = problem;
      this.preconditioner = preconditioner;
      this.part = part;
      this.progress = progress;
      this.delta = delta;
      this.residual = engine.vector(delta.length());
      this.direction = engine.vector(delta.length());
      this.product = engine.vector(delta.length());
      this.image = part == null ? null : engine.vector(delta.length());
    }

    Solution run(ConjugateGradient limits, Checkpoint checkpoint) throws IOException {
      Optional<Checkpoint.State> stored = checkpoint.restore();
      if (stored.isPresent()) {
        restore(stored.get());
      } else {
        restart();
        startNorm = restartNorm;
        report(residual.norm(), limits);
      }
      while (true) {
        double goal = limits.tolerance * startNorm;
        double norm = residual.norm();
        while (norm > goal && iteration < limits.maxIterations) {
          step();
          norm = residual.norm();
          report(norm, limits);
          checkpoint.offer(this::state);
        }
        double before = restartNorm;
        restart();
        if (restartNorm <= goal
            || restartNorm > WORTHWHILE * before
            || iteration >= limits.maxIterations) {
          return new Solution(iteration, certificate(), restartNorm <= goal, trace);
        }
      }
    }

    /** Takes residual and loss from Δ anew and begins with the steepest direction. */
    private void restart() throws IOException {
      loss = problem.gradient(delta, residual);
      residual.scale(-1);
      restartNorm = residual.norm();
      precondition(direction);
      if (image != null) {
        image.set(residual);
      }
      rho = residual.dot(direction);
    }

    /** Right after a restart. */
    private Certificate certificate() throws IOException {
      Certificate known = new Certificate(loss, restartNorm, problem.ridge());
      if (preconditioner == null) {
        return known;
      }
      double gap = Math.min(known.gap(), preconditioner.bound(residual, product) / 2);
      return new Certificate(loss, restartNorm, problem.ridge(), gap);
    }

    private void step() throws IOException {
      multiply();
      double length = rho / direction.dot(product);
      delta.add(length, direction);
      residual.add(-length, product);
      loss -= length * rho / 2; // exact for a quadratic
      precondition(product);
      double next = residual.dot(product);
      direction.scale(next / rho).add(1, product);
      if (image != null) {
        image.scale(next / rho).add(1, residual);
      }
      rho = next;
      iteration++;
    }

    /** product = H·direction. */
    private void multiply() throws IOException {
      if (part != null && image != null) {
        part.addRest(direction, product.set(image));
      } else {
        problem.hessian(direction, product);
      }
    }

    private void precondition(DeviceVector target) throws IOException {
      if (preconditioner == null) {
        target.set(residual);
      } else {
        preconditioner.apply(residual, target);
      }
    }

    private void report(double norm, ConjugateGradient limits) {
      double fraction = Math.log(norm / startNorm) / Math.log(limits.tolerance);
      fraction = Math.max(fraction, iteration / (double) limits.maxIterations);
      Progress.Step step =
          new Progress.Step(iteration, Math.max(0, Math.min(1, fraction)), loss, norm);
      trace.add(step);
      progress.report(step);
    }

    private Checkpoint.State state() {
      Map<String, float[]> vectors = new HashMap<>();
      vectors.put("delta", delta.toArray());
      vectors.put("residual", residual.toArray());
      vectors.put("direction", direction.toArray());
      if (image != null) {
        vectors.put("image", image.toArray());
      }
      return new Checkpoint.State(
          iteration,
          Map.of("startNorm", startNorm, "restartNorm", restartNorm, "loss", loss, "rho", rho),
          vectors);
    }

    private void restore(Checkpoint.State state) {
      iteration = state.iteration();
      startNorm = state.number("startNorm");
      restartNorm = state.number("restartNorm");
      loss = state.number("loss");
      rho = state.number("rho");
      delta.write(state.vector("delta"));
      residual.write(state.vector("residual"));
      direction.write(state.vector("direction"));
      if (image != null) {
        image.write(state.vector("image"));
      }
    }

    @Override
    public void close() {
      residual.close();
      direction.close();
      product.close();
      if (image != null) {
        image.close();
      }
    }
  }
}
