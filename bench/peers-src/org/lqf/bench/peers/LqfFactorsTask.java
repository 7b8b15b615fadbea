package org.lqf.bench.peers;

import java.util.Arrays;
import org.lqf.curvature.Damping;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.model.ParameterBlock;

/**
 * Kronecker factors of all layers (expand, one probe for the output factors) and their inverses.
 */
final class LqfFactorsTask implements Task {

  /** What is timed. The forward pass is not. */
  enum Part {
    ACCUMULATE,
    INVERT,
    BOTH
  }

  /** The layer that results are compared on. */
  static final int LAYER = 2;

  static final double DAMPING = 0.01;

  private final Part part;
  private final Engine engine;
  private final Plan plan;
  private final KroneckerFactors factors;
  private final ParameterBlock block;
  private final DeviceVector gradient;
  private final DeviceVector step;

  LqfFactorsTask(Problem problem, int threads, Part part) {
    this.part = part;
    engine = Engine.open("cpu", threads);
    plan = engine.compile(problem.backbone(), problem.n());
    factors = KroneckerFactors.create(plan, Sharing.EXPAND);
    block = problem.backbone().blocks().get(LAYER);
    gradient = engine.vector(problem.delta());
    step = engine.vector(problem.delta().length);
    plan.forward(problem.images(), problem.n());
    factors.accumulate(plan, 1, 1);
  }

  @Override
  public void run() {
    if (part != Part.INVERT) {
      factors.accumulate(plan, 1, 1);
    }
    if (part != Part.ACCUMULATE) {
      factors.invert(Damping.factored(DAMPING));
    }
  }

  /** The mean input factor without its bias, or the preconditioned weights of a layer. */
  @Override
  public float[] result() {
    int side = factors.inputSide(LAYER);
    if (part == Part.INVERT) {
      factors.precondition(gradient, step);
      return Arrays.copyOfRange(step.toArray(), block.weightOffset(), block.biasOffset());
    }
    double[] factor = factors.input(LAYER);
    float[] result = new float[(side - 1) * (side - 1)];
    for (int i = 0; i < result.length; i++) {
      result[i] = (float) factor[i / (side - 1) * side + i % (side - 1)];
    }
    return result;
  }

  KroneckerFactors factors() {
    return factors;
  }

  @Override
  public void close() {
    factors.close();
    plan.close();
    gradient.close();
    step.close();
    engine.close();
  }
}
