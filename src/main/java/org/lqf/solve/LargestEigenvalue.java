package org.lqf.solve;

import java.io.IOException;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.engine.DeviceVector;

/**
 * The largest eigenvalue of P⁻¹H over batches, which bounds the learning rate of a preconditioned
 * SGD: steps of one batch with momentum m are stable below 2(1 + m)/λmax of its own Hessian, and a
 * batch has a larger one than all images together.
 */
public final class LargestEigenvalue {

  private static final int BATCHES = 4;
  private static final int ITERATIONS = 12;

  /** Products with J and with Jᵀ, each of a batch, that {@link #ofBatches} takes. */
  public static final int PRODUCTS = BATCHES * ITERATIONS;

  private static final double MARGIN = 1.1; // power iteration approaches from below

  /** Ends a pass over the samples early. */
  private static final class EnoughBatches extends RuntimeException {
    private static final long serialVersionUID = 1;

    EnoughBatches() {
      super(null, null, false, false);
    }
  }

  private LargestEigenvalue() {}

  /** The largest of the first batches of epoch 0, by power iteration, plus a margin. */
  public static double ofBatches(LeastSquares problem, @Nullable KroneckerFactors factors)
      throws IOException {
    double[] largest = new double[1];
    int[] batches = new int[1];
    try (DeviceVector start = problem.engine().vector(signs(problem.parameters()));
        DeviceVector v = problem.engine().vector(problem.parameters());
        DeviceVector hv = problem.engine().vector(problem.parameters())) {
      problem
          .samples()
          .forEach(
              0,
              (images, n, targets) -> {
                problem.plan().forward(images, n);
                v.set(start);
                double value = 0;
                for (int i = 0; i < ITERATIONS; i++) {
                  v.scale(1 / v.norm());
                  hv.set(v).scale(problem.ridge());
                  DeviceVector product = problem.vector(n);
                  problem.plan().jvp(v, product);
                  product.scale(1.0 / n);
                  problem.plan().vjp(product, hv);
                  if (factors == null) {
                    v.set(hv);
                  } else {
                    factors.precondition(hv, v);
                  }
                  value = v.norm();
                }
                largest[0] = Math.max(largest[0], value);
                if (++batches[0] == BATCHES) {
                  throw new EnoughBatches();
                }
              });
    } catch (EnoughBatches expected) {
      // all that were wanted
    }
    return MARGIN * largest[0];
  }

  private static float[] signs(long length) {
    SplittableRandom random = new SplittableRandom(1);
    float[] values = new float[Math.toIntExact(length)];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextBoolean() ? 1 : -1;
    }
    return values;
  }
}
