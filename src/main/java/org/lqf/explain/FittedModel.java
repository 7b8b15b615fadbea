package org.lqf.explain;

import java.io.IOException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;
import org.lqf.model.Certificate;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.ImageArray;
import org.lqf.solve.Samples;

/**
 * A model, its network on a device and the images it was fitted on: J as a linear map between
 * arrays.
 *
 * <p>Owns its plan and its Δ, not the engine. Every method walks over the images and overwrites the
 * plan's last forward; not for several threads at once.
 */
public final class FittedModel implements AutoCloseable {

  private final Engine engine;
  private final LinearisedModel model;
  private final Samples samples;
  private final Plan plan;
  private final DeviceVector delta; // [parameters]
  private @Nullable Fixed fixed; // after the first pass

  /** What the images are before anything is learnt: y [N, C] and f(x; w0) [N, C]. */
  private record Fixed(double[] targets, double[] base) {}

  private FittedModel(
      Engine engine, LinearisedModel model, Samples samples, Plan plan, DeviceVector delta) {
    this.engine = engine;
    this.model = model;
    this.samples = samples;
    this.plan = plan;
    this.delta = delta;
  }

  /**
   * Compiles the network with the model's head.
   *
   * @param engine stays the caller's
   * @param backbone the network that the model was made from
   * @param samples the very images that the model was fitted on, in their order, in batches of at
   *     most maxBatch
   * @throws IllegalArgumentException if the backbone is another one or the number of images is
   */
  public static FittedModel open(
      Engine engine, Backbone backbone, LinearisedModel model, Samples samples, int maxBatch) {
    if (samples.size() != model.fit().samples()) {
      throw new IllegalArgumentException(
          "the model was fitted on %d images, got %d; give the same ones"
              .formatted(model.fit().samples(), samples.size()));
    }
    Plan plan = engine.compile(model.attach(backbone), model.linearised(), maxBatch);
    try {
      return new FittedModel(engine, model, samples, plan, engine.vector(model.delta()));
    } catch (RuntimeException e) {
      plan.close();
      throw e;
    }
  }

  public LinearisedModel model() {
    return model;
  }

  public Samples samples() {
    return samples;
  }

  Engine engine() {
    return engine;
  }

  /** Owned by this; every method here overwrites its last forward. */
  public Plan plan() {
    return plan;
  }

  /** Δ of the model on the device, [parameters]; to be read only. */
  DeviceVector delta() {
    return delta;
  }

  /** N, the images it was fitted on. */
  public int images() {
    return samples.size();
  }

  public int classes() {
    return plan.classes();
  }

  /** The most images of a batch, those of other sets of images included. */
  public int maxBatch() {
    return plan.maxBatch();
  }

  /** λ of the mean loss. */
  public double ridge() {
    return model.fit().ridge();
  }

  /** μ = λN of the summed loss. */
  public double mu() {
    return ridge() * images();
  }

  /** Floats of one image: channels · height · width. */
  public int imageLength() {
    return plan.backbone().input().shape().size();
  }

  /** y, [N, C], a fresh copy. */
  public double[] targets() throws IOException {
    return fixed().targets.clone();
  }

  /** f(xᵢ; w0) of the training images, [N, C], a fresh copy. */
  public double[] base() throws IOException {
    return fixed().base.clone();
  }

  /** Index of the largest target of each image, [N]. */
  public int[] labels() throws IOException {
    double[] y = targets();
    int[] labels = new int[images()];
    Arrays.setAll(labels, i -> Blocks.largest(y, i * classes(), classes()));
    return labels;
  }

  /**
   * α of a model at its optimum, without any Gram matrix: (y − f(xᵢ))/μ, [N, C]; math.md §6. One
   * pass over the images.
   */
  public double[] alpha() throws IOException {
    double[] alpha = targets();
    double[] outputs = outputs(samples, delta);
    for (int i = 0; i < alpha.length; i++) {
      alpha[i] = (alpha[i] - outputs[i]) / mu();
    }
    return alpha;
  }

  /**
   * f(x; w0) of images of any origin.
   *
   * @param images [n, channels, height, width]
   * @return [n, C]
   */
  public double[] base(float[] images, int n) throws IOException {
    return outputs(ImageArray.unlabelled(images, n, classes(), plan.maxBatch()), null);
  }

  /**
   * f(x) of images of any origin.
   *
   * @param images [n, channels, height, width]
   * @return [n, C]
   */
  public double[] outputs(float[] images, int n) throws IOException {
    return outputs(ImageArray.unlabelled(images, n, classes(), plan.maxBatch()), delta);
  }

  /** f(x; w0) + J·direction, [size, C]; a null direction is 0. */
  double[] outputs(Samples of, @Nullable DeviceVector direction) throws IOException {
    double[] all = new double[Math.multiplyExact(of.size(), classes())];
    int[] at = new int[1];
    try (DeviceVector out = engine.vector((long) plan.maxBatch() * classes());
        DeviceVector product = engine.vector((long) plan.maxBatch() * classes())) {
      of.forEach(
          Samples.IN_ORDER,
          (images, n, y) -> {
            if (direction == null) {
              plan.forward(images, n);
              plan.outputs(out);
            } else {
              plan.forwardJvp(images, n, direction, product);
              plan.outputs(out);
              out.add(1, product);
            }
            at[0] = copy(out, n, all, at[0]);
          });
    }
    return all;
  }

  /** J·direction, [size, C]. */
  double[] times(Samples of, DeviceVector direction) throws IOException {
    double[] all = new double[Math.multiplyExact(of.size(), classes())];
    int[] at = new int[1];
    try (DeviceVector out = engine.vector((long) plan.maxBatch() * classes())) {
      of.forEach(
          Samples.IN_ORDER,
          (images, n, y) -> {
            plan.forwardJvp(images, n, direction, out);
            at[0] = copy(out, n, all, at[0]);
          });
    }
    return all;
  }

  /**
   * gradient += Jᵀ·dual.
   *
   * @param dual [size, C], read
   * @param gradient [parameters], accumulated
   */
  void addTransposed(Samples of, double[] dual, DeviceVector gradient) throws IOException {
    float[] batch = new float[plan.maxBatch() * classes()];
    int[] at = new int[1];
    try (DeviceVector cotangent = engine.vector(batch.length)) {
      of.forEach(
          Samples.IN_ORDER,
          (images, n, y) -> {
            for (int i = 0; i < n * classes(); i++) {
              batch[i] = (float) dual[at[0]++];
            }
            plan.forward(images, n);
            plan.vjp(cotangent.write(batch), gradient);
          });
    }
  }

  /** y − f(x; w0) − J·direction, [size, C]; a null direction is 0. */
  double[] errors(Samples of, @Nullable DeviceVector direction) throws IOException {
    double[] errors = outputs(of, direction);
    int[] at = new int[1];
    of.forEach(
        Samples.IN_ORDER,
        (images, n, y) -> {
          for (int i = 0; i < n * classes(); i++, at[0]++) {
            errors[at[0]] = y[i] - errors[at[0]];
          }
        });
    return errors;
  }

  /**
   * What one pass tells of a Δ.
   *
   * @param errors y − f(x), [size, C]
   */
  record Check(double[] errors, Certificate certificate) {}

  /** Residuals, loss and gradient of a Δ on these images at ridge λ: forward, jvp and vjp. */
  Check check(Samples of, double lambda, DeviceVector direction) throws IOException {
    double[] errors = new double[Math.multiplyExact(of.size(), classes())];
    double[] squares = new double[1];
    int[] at = new int[1];
    try (DeviceVector gradient = engine.vector(direction.length());
        DeviceVector out = engine.vector((long) plan.maxBatch() * classes());
        DeviceVector product = engine.vector(out.length())) {
      gradient.set(direction).scale(lambda);
      float[] values = new float[(int) out.length()];
      of.forEach(
          Samples.IN_ORDER,
          (images, n, y) -> {
            plan.forwardJvp(images, n, direction, product);
            plan.outputs(out);
            out.add(1, product);
            out.read(values);
            for (int i = 0; i < n * classes(); i++) {
              double error = y[i] - values[i];
              errors[at[0]++] = error;
              squares[0] += error * error;
              values[i] = (float) (-error / of.size());
            }
            plan.vjp(out.write(values), gradient);
          });
      double loss = squares[0] / (2 * of.size()) + lambda / 2 * direction.dot(direction);
      return new Check(errors, new Certificate(loss, gradient.norm(), lambda));
    }
  }

  private Fixed fixed() throws IOException {
    if (fixed != null) {
      return fixed;
    }
    double[] y = new double[Math.multiplyExact(images(), classes())];
    double[] f0 = new double[y.length];
    int[] at = new int[1];
    try (DeviceVector out = engine.vector((long) plan.maxBatch() * classes())) {
      samples.forEach(
          Samples.IN_ORDER,
          (images, n, batchTargets) -> {
            for (int i = 0; i < n * classes(); i++) {
              y[at[0] + i] = batchTargets[i];
            }
            plan.forward(images, n);
            plan.outputs(out);
            at[0] = copy(out, n, f0, at[0]);
          });
    }
    fixed = new Fixed(y, f0);
    return fixed;
  }

  private int copy(DeviceVector out, int n, double[] all, int at) {
    float[] values = new float[n * classes()];
    out.read(values);
    for (int i = 0; i < values.length; i++) {
      all[at + i] = values[i];
    }
    return at + values.length;
  }

  @Override
  public void close() {
    plan.close();
    delta.close();
  }
}
