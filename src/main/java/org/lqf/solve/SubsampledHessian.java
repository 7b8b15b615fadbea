package org.lqf.solve;

import java.io.IOException;
import java.util.BitSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;
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
 * does, and H − A what the other images make: conjugate gradients walk over those, and over the m
 * only to precondition. The m have a plan of their own; bits depend on neither batches nor threads.
 */
public final class SubsampledHessian implements Preconditioner, AutoCloseable {

  private static final int MOST_SIDE = 2048; // of K
  private static final double MOST_PASSES = 10; // over all images, that K may cost

  private final Plan plan; // of the part
  private final LeastSquares part; // the others are apart from it
  private final @Nullable LeastSquares rest; // null if the part is all
  private final SymmetricMatrix factor; // of K + λN I
  private final int all; // N
  private final double ridge; // λ

  private SubsampledHessian(
      LeastSquares problem,
      Plan plan,
      Samples images,
      @Nullable Samples others,
      SymmetricMatrix factor) {
    Engine engine = problem.engine();
    this.all = problem.samples().size();
    this.ridge = problem.ridge();
    this.plan = plan;
    this.factor = factor;
    this.rest =
        others == null ? null : new LeastSquares(engine, problem.plan(), others, ridge, all, null);
    this.part = new LeastSquares(engine, plan, images, ridge, all, rest);
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
    return part.samples().size();
  }

  /** The problem of all images, those of the part first; this object's. */
  public LeastSquares problem() {
    return part;
  }

  /** target += (H − A)·vector, the share of the other images; both [parameters]. */
  void addRest(DeviceVector vector, DeviceVector target) throws IOException {
    if (rest != null) {
      rest.addHessian(vector, target);
    }
  }

  /**
   * Takes images from all over their order, and computes and factorises K.
   *
   * @param problem its plan serves the other images; to be closed after this
   * @param size m, from 1 to the number of images
   */
  public static SubsampledHessian of(LeastSquares problem, int size, Progress progress)
      throws IOException {
    Engine engine = problem.engine();
    Plan whole = problem.plan();
    Samples samples = problem.samples();
    int all = samples.size();
    BitSet chosen = evenly(size, all);
    int batch = Math.min(size, whole.maxBatch());
    ImageArray images = new Chosen(samples, chosen).toArray(batch);
    chosen.flip(0, all);
    Samples others = size < all ? new Chosen(samples, chosen) : null;
    Plan plan = engine.compile(whole.backbone(), whole.linearised(), batch);
    try {
      SymmetricMatrix factor = GramMatrix.of(engine, plan, images, progress);
      try {
        factor.cholesky(problem.ridge() * all);
        return new SubsampledHessian(problem, plan, images, others, factor);
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
  public void apply(DeviceVector vector, DeviceVector target) throws IOException {
    solve(vector, target);
  }

  /**
   * {@inheritDoc}
   *
   * <p>⟨v, A⁻¹v⟩ is the least of ‖v − Jₘᵀu‖²/λ + N‖u‖² over all u. At the u of {@link #apply}, near
   * as it is, this bounds it from above, and only the square of what rounding did to u adds to it.
   */
  @Override
  public double bound(DeviceVector vector, DeviceVector scratch) throws IOException {
    double squares = 0;
    for (double u : solve(vector, scratch)) {
      squares += u * u;
    }
    return ridge * scratch.dot(scratch) + all * squares;
  }

  /** target = A⁻¹·vector = (vector − Jₘᵀu) / λ; gives u = (K + λN I)⁻¹Jₘ·vector. */
  private double[] solve(DeviceVector vector, DeviceVector target) throws IOException {
    int classes = plan.classes();
    double[] dual = new double[factor.side()]; // Jₘ·vector, then u
    part.forEachProduct(
        vector,
        (first, n) -> {
          float[] product = part.vector(n).toArray();
          for (int i = 0; i < product.length; i++) {
            dual[first * classes + i] = product[i];
          }
        });
    factor.solve(dual, 1);
    target.fill(0);
    part.forEach(
        (first, n) -> {
          float[] values = new float[n * classes];
          for (int i = 0; i < values.length; i++) {
            values[i] = (float) dual[first * classes + i];
          }
          plan.vjp(part.vector(n).write(values), target);
        });
    target.scale(-1).add(1, vector).scale(1 / ridge);
    return dual;
  }

  @Override
  public void close() {
    part.close();
    factor.close();
    plan.close();
  }

  /** Evenly spaced in the order of all: images of a folder come class by class. */
  private static BitSet evenly(int size, int all) {
    BitSet some = new BitSet(all);
    for (int i = 0; i < size; i++) {
      some.set(Math.toIntExact((2L * i + 1) * all / (2L * size)));
    }
    return some;
  }
}
