package org.lqf.explain;

import org.lqf.model.Certificate;

/**
 * What was done to a model and what is proven of the result. The linearisation point, that is the
 * backbone and the head, is kept: the claim is that Δ is that of a training on the remaining images
 * from this point.
 *
 * @param route "gram" (update of the Gram inverse), "gram anew" (a Gram matrix of the changed
 *     images) or "cg" (warm-started conjugate gradients)
 * @param imagesBefore N of the old model
 * @param removed images taken out
 * @param added images put in
 * @param iterations of the route: refinements of the dual solution, or steps of CG
 * @param certificate of the new Δ on the new images, from a gradient computed anew in single
 *     precision
 * @param deltaNorm ‖Δ‖ after
 * @param change ‖Δ after − Δ before‖
 */
public record Receipt(
    String route,
    int imagesBefore,
    int removed,
    int added,
    int iterations,
    Certificate certificate,
    double deltaNorm,
    double change) {

  /** N of the new model. */
  public int imagesAfter() {
    return imagesBefore - removed + added;
  }

  /**
   * The new Δ is at most this far from the one optimum, as a part of its own length. Proven, and
   * often far too pessimistic, since λ is the smallest curvature there can be.
   */
  public double certifiedRelativeDistance() {
    return certificate.distance() / deltaNorm;
  }
}
