package org.lqf.solve;

import java.util.List;
import org.lqf.model.Certificate;

/**
 * How a solver ended; Δ itself is in the vector it was given.
 *
 * @param iterations CG steps, epochs, or refinements of the dual solution
 * @param certificate of the Δ reached, from a gradient computed anew
 * @param converged whether the tolerance was met
 * @param trace one step for each iteration, those before a resume not included
 */
public record Solution(
    int iterations, Certificate certificate, boolean converged, List<Progress.Step> trace) {

  public Solution {
    trace = List.copyOf(trace);
  }
}
