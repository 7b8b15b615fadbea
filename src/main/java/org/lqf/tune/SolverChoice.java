package org.lqf.tune;

import org.lqf.engine.Plan;
import org.lqf.solve.GramMatrix;
import org.lqf.solve.SubsampledHessian;

/**
 * Which solver runs, and why.
 *
 * @param solver never AUTO
 * @param reason a sentence without its full stop
 */
public record SolverChoice(Solver solver, String reason) {

  /** Iterations that conjugate gradients usually take to the default tolerance. */
  static final double USUAL_ITERATIONS = 50;

  /** What {@link Solver#AUTO} would choose here and now for images that are not augmented. */
  public static SolverChoice usual(Plan plan, long images) {
    double macs = Macs.of(plan.backbone());
    int classes = plan.classes();
    long parameters = plan.parameters();
    return of(
        LqfConfig.defaults(),
        images,
        classes,
        parameters,
        macs,
        GramMatrix.work(classes, parameters, images, macs),
        GramMatrix.fits(images, classes, parameters, FreeMemory.bytes()));
  }

  /**
   * @param macs multiply-adds of one forward pass of one image
   * @param gramWork multiply-adds of {@link Solver#GRAM}
   * @param gramFits whether there is memory for {@link Solver#GRAM}
   */
  static SolverChoice of(
      LqfConfig config,
      long images,
      int classes,
      long parameters,
      double macs,
      double gramWork,
      boolean gramFits) {
    if (config.solver() != Solver.AUTO) {
      return new SolverChoice(config.solver(), "asked for");
    }
    if (config.augment()) {
      return new SolverChoice(Solver.SGD_KFAC, "augmented images change with every epoch");
    }
    int part = SubsampledHessian.size(images, classes, parameters, macs);
    double cg = USUAL_ITERATIONS * (images + part) * 5 * macs; // forward 1, jvp 2, vjp 2
    String sizes = "%d images × %d classes".formatted(images, classes);
    if (!gramFits) {
      return new SolverChoice(
          Solver.CG, "the Gram matrix of %s needs too much memory".formatted(sizes));
    }
    if (gramWork < cg) {
      return new SolverChoice(
          Solver.GRAM,
          "exact, and for %s about %.1f times less work than cg".formatted(sizes, cg / gramWork));
    }
    return new SolverChoice(
        Solver.CG,
        "for %s about %.1f times less work than the Gram matrix".formatted(sizes, gramWork / cg));
  }
}
