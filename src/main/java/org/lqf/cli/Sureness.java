package org.lqf.cli;

import org.lqf.explain.Calibration;
import org.lqf.explain.GramPosterior;
import org.lqf.explain.Posterior;

/**
 * A posterior and what was learnt of it.
 *
 * @param posterior owned by this
 * @param from what it was calibrated on, in words
 */
record Sureness(Posterior posterior, Calibration calibration, String from)
    implements AutoCloseable {

  /** "gram" or "kronecker". */
  String route() {
    return posterior instanceof GramPosterior ? "gram" : "kronecker";
  }

  @Override
  public void close() {
    posterior.close();
  }
}
