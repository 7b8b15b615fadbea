package org.lqf.solve;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.model.Certificate;

/**
 * The quadratic problem of LQF: L(Δ) = 1/(2N) Σ‖f(xᵢ; w0) + JᵢΔ − yᵢ‖² + λ/2 ‖Δ‖², with the
 * constant Hessian H = 1/N JᵀJ + λI. Source: Achille et al. 2021 (LQF), arXiv 2012.11140.
 *
 * <p>Holds nothing of the images: every product walks over them, forward, jvp and vjp batch by
 * batch. Where all of them come as one batch, the plan still keeps them after the first walk, and
 * every later forward is left out. Results do not depend on how the images are cut into batches,
 * bit for bit. Owns its workspace, not the plan. Not for several threads at once.
 *
 * <p>Some of the images can be apart, with a plan of their own: see {@link SubsampledHessian}.
 */
public final class LeastSquares implements AutoCloseable {

  private final Engine engine;
  private final Plan plan;
  private final Samples samples;
  private final double ridge;
  private final int all; // N
  private final @Nullable LeastSquares apart; // of the other images, if these are not all
  private Workspace workspace;
  private long kept = -1; // plan.forwards() while the plan keeps all images

  /** Vectors [n, classes] for batches of n images; all batches but the last have one n. */
  private record Workspace(int n, DeviceVector vector, DeviceVector other)
      implements AutoCloseable {
    static Workspace of(Engine engine, int n, int classes) {
      DeviceVector vector = engine.vector((long) n * classes);
      try {
        return new Workspace(n, vector, engine.vector((long) n * classes));
      } catch (RuntimeException e) {
        vector.close();
        throw e;
      }
    }

    @Override
    public void close() {
      vector.close();
      other.close();
    }
  }

  /**
   * @param plan stays the caller's; its last forward is overwritten by every method here
   * @param samples batches of at most {@code plan.maxBatch()} images
   * @param ridge λ &gt; 0 of the mean loss; the ridge of the summed loss is μ = λN
   */
  public LeastSquares(Engine engine, Plan plan, Samples samples, double ridge) {
    this(engine, plan, samples, ridge, samples.size(), null);
  }

  /**
   * What some of N images add to the problem, and others, which are apart and are closed with it.
   */
  LeastSquares(
      Engine engine,
      Plan plan,
      Samples samples,
      double ridge,
      int all,
      @Nullable LeastSquares apart) {
    if (!(ridge > 0) || ridge == Double.POSITIVE_INFINITY) {
      throw new IllegalArgumentException("ridge must be positive and finite, got " + ridge);
    }
    if (samples.size() < 1) {
      throw new IllegalArgumentException("no images to fit");
    }
    this.engine = engine;
    this.plan = plan;
    this.samples = samples;
    this.ridge = ridge;
    this.all = all;
    this.apart = apart;
    this.workspace = Workspace.of(engine, 1, plan.classes());
  }

  public Engine engine() {
    return engine;
  }

  public Plan plan() {
    return plan;
  }

  public Samples samples() {
    return samples;
  }

  /** λ of the mean loss. */
  public double ridge() {
    return ridge;
  }

  /** Length of Δ. */
  public long parameters() {
    return plan.parameters();
  }

  /**
   * gradient = ∇L(delta) = 1/N Σ Jᵢᵀ(f(xᵢ; w0) + JᵢΔ − yᵢ) + λΔ.
   *
   * @param delta [parameters], read
   * @param gradient [parameters], overwritten
   * @return L(delta)
   */
  public double gradient(DeviceVector delta, DeviceVector gradient) throws IOException {
    double norm = delta.dot(delta);
    gradient.set(delta).scale(ridge);
    double[] squares = new double[1];
    for (LeastSquares some = this; some != null; some = some.apart) {
      some.addGradient(delta, norm == 0, gradient, squares);
    }
    return squares[0] / (2 * all) + ridge / 2 * norm;
  }

  private void addGradient(
      DeviceVector delta, boolean zero, DeviceVector gradient, double[] squares)
      throws IOException {
    samples.forEach(
        Samples.IN_ORDER,
        (images, n, targets) -> {
          if (zero) {
            forward(images, n);
            vector(n).fill(0);
          } else {
            forwardJvp(images, n, delta);
          }
          addGradient(residual(n, targets), 1.0 / all, gradient, squares);
        });
  }

  /** {@link #gradient} with a bound: Δ, how good it is. The gradient vector is overwritten. */
  public Certificate certify(DeviceVector delta, DeviceVector gradient) throws IOException {
    double loss = gradient(delta, gradient);
    return new Certificate(loss, gradient.norm(), ridge);
  }

  /**
   * out = H·direction.
   *
   * @param direction [parameters], read
   * @param out [parameters], overwritten
   */
  public void hessian(DeviceVector direction, DeviceVector out) throws IOException {
    out.set(direction).scale(ridge);
    for (LeastSquares some = this; some != null; some = some.apart) {
      some.addHessian(direction, out);
    }
  }

  /** out += 1/N JᵀJ·direction over these images, without those apart. */
  void addHessian(DeviceVector direction, DeviceVector out) throws IOException {
    forEachProduct(direction, (first, n) -> plan.vjp(vector(n).scale(1.0 / all), out));
  }

  /** Takes the n images from first on, which are in the plan. */
  @FunctionalInterface
  interface Step {
    void take(int first, int n);
  }

  /**
   * Takes these images in order, without those apart; they are not read where the plan keeps them.
   */
  void forEach(Step step) throws IOException {
    forEach(this::forward, step);
  }

  /** The same where {@link #vector} of the n images holds J·direction. */
  void forEachProduct(DeviceVector direction, Step step) throws IOException {
    forEach((images, n) -> forwardJvp(images, n, direction), step);
  }

  /** What brings a batch to the plan. */
  @FunctionalInterface
  private interface Arrival {
    void take(float[] images, int n);
  }

  private void forEach(Arrival arrival, Step step) throws IOException {
    if (kept == plan.forwards()) {
      arrival.take(new float[0], samples.size());
      step.take(0, samples.size());
      return;
    }
    int[] first = new int[1];
    samples.forEach(
        Samples.IN_ORDER,
        (images, n, targets) -> {
          arrival.take(images, n);
          step.take(first[0], n);
          first[0] += n;
        });
  }

  /** Takes a batch of the pass in order to the plan, if it does not keep all images already. */
  void forward(float[] images, int n) {
    if (kept != plan.forwards()) {
      plan.forward(images, n);
      keep(n);
    }
  }

  /** The same, and {@link #vector} becomes J·direction. */
  void forwardJvp(float[] images, int n, DeviceVector direction) {
    if (kept == plan.forwards()) {
      plan.jvp(direction, vector(n));
    } else {
      plan.forwardJvp(images, n, direction, vector(n));
      keep(n);
    }
  }

  private void keep(int n) {
    kept = n == samples.size() ? plan.forwards() : -1;
  }

  /**
   * gradient += weight · Σ Jᵢᵀrᵢ over the images of the plan's last forward.
   *
   * @param residual [n, classes], overwritten
   * @param squares [1], ‖r‖² is added, value by value in order
   */
  void addGradient(DeviceVector residual, double weight, DeviceVector gradient, double[] squares) {
    for (float value : residual.toArray()) {
      squares[0] += (double) value * value;
    }
    residual.scale(weight);
    plan.vjp(residual, gradient);
  }

  /**
   * f(x; w0) + JΔ − y of the plan's last forward, [n, classes], in place of JΔ in {@link #vector}.
   */
  DeviceVector residual(int n, float[] targets) {
    Workspace w = workspace(n);
    plan.outputs(w.other);
    w.vector.add(1, w.other);
    w.other.write(0, targets);
    return w.vector.add(-1, w.other);
  }

  /**
   * The vector [n, classes] in which these methods leave J·direction and residuals, the caller's in
   * between; a batch of another n has another.
   */
  DeviceVector vector(int n) {
    return workspace(n).vector;
  }

  private Workspace workspace(int n) {
    if (workspace.n != n) {
      workspace.close();
      workspace = Workspace.of(engine, n, plan.classes());
    }
    return workspace;
  }

  @Override
  public void close() {
    workspace.close();
    if (apart != null) {
      apart.close();
    }
  }
}
