package org.lqf.explain;

import java.io.IOException;
import org.lqf.solve.ImageArray;

/**
 * The exact covariance, from the kernel with all training images; {@link Uncertainty#covariances}.
 *
 * @param fitted stays the caller's, as does
 * @param dual of the same model
 */
public record GramPosterior(FittedModel fitted, Dual dual) implements Posterior {

  @Override
  public double[] covariances(float[] images, int n) throws IOException {
    int block = dual.classes() * dual.classes();
    double[] all = new double[n * block];
    ImageArray samples = ImageArray.unlabelled(images, n, dual.classes(), fitted.plan().maxBatch());
    CrossKernel.forEach(
        fitted,
        samples,
        (first, count, cross, own) -> {
          double[] some = Uncertainty.covariances(dual, cross, own);
          System.arraycopy(some, 0, all, first * block, some.length);
        });
    return all;
  }

  @Override
  public void close() {}
}
