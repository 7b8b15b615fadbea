package org.lqf.explain;

import java.io.IOException;

/** Covariances of f(x) given the training images, in units of σ²; see {@link Uncertainty}. */
public sealed interface Posterior extends AutoCloseable permits GramPosterior, KroneckerPosterior {

  /**
   * Of images of any origin.
   *
   * @param images [n, channels, height, width]
   * @return [n, C, C]
   */
  double[] covariances(float[] images, int n) throws IOException;

  /** Frees what it owns. */
  @Override
  void close();
}
