package org.lqf.bench.peers;

import java.nio.FloatBuffer;
import java.util.Set;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.Precision;
import org.lqf.engine.Winograd;

/** The verbs of a plan. */
final class LqfTask implements Task {

  /** What is timed; all but STEP_KEPT evaluate f(x; w0), JVP, PREDICT and STEP in one walk. */
  enum Verb {
    /** f(x; w0), nothing linearised. */
    INFERENCE,
    /** J·delta. */
    JVP,
    /** f(x; w0) + J·delta: a prediction of the fine-tuned model. */
    PREDICT,
    /** Jᵀ·u. */
    VJP,
    /** Jᵀ(f(x; w0) + J·delta − y)/n + ridge·delta: the gradient of a batch. */
    STEP,
    /** The same where the plan still keeps the images. */
    STEP_KEPT
  }

  private final Verb verb;
  private final int n;
  private final Engine engine;
  private final Plan plan;
  private final FloatBuffer images;
  private final float[] array; // the images, for predict
  private final float[] scores;
  private final DeviceVector delta;
  private final DeviceVector targets;
  private final DeviceVector outputs;
  private final DeviceVector residual;
  private final DeviceVector gradient;

  LqfTask(Problem problem, int threads, Winograd winograd, Verb verb) {
    this.verb = verb;
    this.n = problem.n();
    engine = Engine.open("cpu", threads, winograd, Precision.FP32);
    plan =
        verb == Verb.INFERENCE
            ? engine.compile(problem.backbone(), Set.of(), n)
            : engine.compile(problem.backbone(), n);
    images = problem.directImages();
    array = problem.images();
    scores = new float[problem.targets().length];
    delta = engine.vector(problem.delta());
    targets = engine.vector(problem.targets());
    outputs = engine.vector(problem.targets().length);
    residual = engine.vector(problem.targets().length);
    gradient = engine.vector(problem.delta().length);
    plan.forward(images, n);
  }

  @Override
  public void run() {
    switch (verb) {
      case INFERENCE -> {
        plan.forward(images, n);
        plan.outputs(outputs);
      }
      case JVP -> plan.forwardJvp(images, n, delta, outputs);
      case PREDICT -> plan.predict(delta, array, n, scores);
      case VJP -> {
        plan.forward(images, n);
        plan.vjp(targets, gradient.fill(0));
      }
      case STEP -> {
        plan.forwardJvp(images, n, delta, residual);
        addGradient();
      }
      case STEP_KEPT -> {
        plan.jvp(delta, residual);
        addGradient();
      }
    }
  }

  private void addGradient() {
    plan.outputs(outputs);
    residual.add(1, outputs).add(-1, targets).scale(1.0 / n);
    plan.vjp(residual, gradient.set(delta).scale(Problem.RIDGE));
  }

  @Override
  public float[] result() {
    if (verb == Verb.PREDICT) {
      return scores;
    }
    return (verb == Verb.INFERENCE || verb == Verb.JVP ? outputs : gradient).toArray();
  }

  @Override
  public void close() {
    plan.close();
    delta.close();
    targets.close();
    outputs.close();
    residual.close();
    gradient.close();
    engine.close();
  }
}
