package org.lqf.tune;

import java.util.List;
import org.lqf.model.Certificate;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.Progress;

/**
 * A trained model and how it came about.
 *
 * @param model the result
 * @param probe the same network without displacement, its head the linear probe: the baseline
 * @param solver the one that ran, never AUTO
 * @param choice why that solver, a sentence
 * @param converged whether the solver met its tolerance
 * @param certificate of the final Δ
 * @param damping γ of the Kronecker factors; NaN where none were used
 * @param trace one step for each iteration of the solver
 */
public record TrainingReport(
    LinearisedModel model,
    LinearisedModel probe,
    Solver solver,
    String choice,
    boolean converged,
    Certificate certificate,
    double damping,
    List<Progress.Step> trace) {

  public TrainingReport {
    trace = List.copyOf(trace);
  }
}
