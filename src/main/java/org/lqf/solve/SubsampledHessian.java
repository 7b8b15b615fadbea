package org.lqf.solve;

import java.io.IOException;
import java.util.Set;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Backbone;
import org.lqf.model.Macs;

/**
 * Preconditions with what m of the N images make of the Hessian, exactly inverted through their
 * Gram matrix: A = 1/N JₘᵀJₘ + λI, A⁻¹ = (I − Jₘᵀ(K + λN I)⁻¹Jₘ) / λ, K = JₘJₘᵀ. Source of the
 * idea: sub-sampled Newton methods, Roosta-Khorasani and Mahoney 2016, arXiv 1601.04738.
 *
 * <p>Few images know the directions in which H is steep. That they count as m of N keeps them from
 * being trusted too much: over an eightieth to a half of 1,000 images no other ridge was better by
 * more than an iteration or two. It makes H ⪰ A, too, so that A proves more of a solution than λI
 * does. Has a plan of its own; bits depend on neither batches nor threads.
 */
public final class SubsampledHessian implements Preconditioner, AutoCloseable {

  private static final int MOST_SIDE = 2048; // of K
  private static final double MOST_PASSES = 10; // over all images, that K may cost

  private final Plan plan;
  private final ImageArray images;
  private final SymmetricMatrix factor; // of K + λN I
  private final DeviceVector outputs; // [batch, classes]
  private final int all; // N
  private final double ridge; // λ
  private final boolean kept; // all images are in the plan

  private SubsampledHessian(
      Plan plan,
      ImageArray images,
      SymmetricMatrix factor,
      DeviceVector outputs,
      int all,
      double ridge,
      boolean kept) {
    this.plan = plan;
    this.images = images;
    this.factor = factor;
    this.outputs = outputs;
    this.all = all;
    this.ridge = ridge;
    this.kept = kept;
  }

  /**
   * Images that are worth it; 0 if it is not.
   *
   * @param network with its head
   * @param linearised names of its layers
   */
  public static int size(Backbone network, Set<String> linearised, long images) {
    int size = (int) Math.min(images / 5, MOST_SIDE / network.outputShape().channels());
    double most = MOST_PASSES * images * 5 * Macs.of(network); // forward 1, jvp 2, vjp 2
    while (size > 0 && GramWork.of(network, linearised, size, size).multiplyAdds() > most) {
      size /= 2;
    }
    return size;
  }

  /** m. */
  public int images() {
    return images.size();
  }

  /**
   * Takes images from all over their order, and computes and factorises K.
   *
   * @param size m, from 1 to the number of images
   */
  public static SubsampledHessian of(LeastSquares problem, int size, Progress progress)
      throws IOException {
    Engine engine = problem.engine();
    Plan whole = problem.plan();
    int batch = Math.min(size, whole.maxBatch());
    ImageArray images = some(problem.samples(), size, whole.classes(), batch);
    Plan plan = engine.compile(whole.backbone(), whole.linearised(), batch);
    try {
      SymmetricMatrix factor = GramMatrix.of(engine, plan, images, progress);
      try {
        int all = problem.samples().size();
        factor.cholesky(problem.ridge() * all);
        boolean kept = size <= batch;
        if (kept) {
          plan.forward(images.images(), size);
        }
        DeviceVector outputs = engine.vector((long) batch * whole.classes());
        return new SubsampledHessian(plan, images, factor, outputs, all, problem.ridge(), kept);
      } catch (RuntimeException e) {
        factor.close();
        throw e;
      }
    } catch (IOException | RuntimeException e) {
      plan.close();
      throw e;
    }
  }

  @Override
  public void apply(DeviceVector vector, DeviceVector target) {
    solve(vector, target);
  }

  /**
   * {@inheritDoc}
   *
   * <p>⟨v, A⁻¹v⟩ is the least of ‖v − Jₘᵀu‖²/λ + N‖u‖² over all u. At the u of {@link #apply}, near
   * as it is, this bounds it from above, and only the square of what rounding did to u adds to it.
   */
  @Override
  public double bound(DeviceVector vector, DeviceVector scratch) {
    double squares = 0;
    for (double u : solve(vector, scratch)) {
      squares += u * u;
    }
    return ridge * scratch.dot(scratch) + all * squares;
  }

  /** target = A⁻¹·vector = (vector − Jₘᵀu) / λ; gives u = (K + λN I)⁻¹Jₘ·vector. */
  private double[] solve(DeviceVector vector, DeviceVector target) {
    int classes = plan.classes();
    double[] dual = new double[factor.side()]; // Jₘ·vector, then u
    float[] values = new float[Math.toIntExact(outputs.length())];
    walk(
        (first, n) -> {
          plan.jvp(vector, outputs);
          outputs.read(values);
          for (int i = 0; i < n * classes; i++) {
            dual[first * classes + i] = values[i];
          }
        });
    factor.solve(dual, 1);
    target.fill(0);
    walk(
        (first, n) -> {
          for (int i = 0; i < n * classes; i++) {
            values[i] = (float) dual[first * classes + i];
          }
          outputs.write(values);
          plan.vjp(outputs, target);
        });
    target.scale(-1).add(1, vector).scale(1 / ridge);
    return dual;
  }

  /** Takes the n images from first on, which are in the plan. */
  @FunctionalInterface
  private interface Step {
    void take(int first, int n);
  }

  private void walk(Step step) {
    if (kept) {
      step.take(0, images.size());
      return;
    }
    int[] first = new int[1];
    images.forEach(
        Samples.IN_ORDER,
        (batch, n, targets) -> {
          plan.forward(batch, n);
          step.take(first[0], n);
          first[0] += n;
        });
  }

  @Override
  public void close() {
    outputs.close();
    factor.close();
    plan.close();
  }

  /** Images evenly spaced in their order: those of a folder come class by class. */
  private static ImageArray some(Samples all, int size, int classes, int batch) throws IOException {
    float[][] pixels = new float[1][];
    int[] at = new int[2]; // images seen, and taken
    all.forEach(
        Samples.IN_ORDER,
        (images, n, targets) -> {
          int floats = images.length / n;
          pixels[0] = pixels[0] == null ? new float[Math.multiplyExact(size, floats)] : pixels[0];
          for (int i = 0; i < n; i++, at[0]++) {
            if (at[1] < size && at[0] == (2L * at[1] + 1) * all.size() / (2L * size)) {
              System.arraycopy(images, i * floats, pixels[0], at[1]++ * floats, floats);
            }
          }
        });
    return ImageArray.unlabelled(pixels[0], size, classes, batch);
  }
}
