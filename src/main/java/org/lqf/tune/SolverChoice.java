package org.lqf.tune;

import org.lqf.engine.Plan;
import org.lqf.solve.GramMatrix;

/**
 * Which solver runs, and why.
 *
 * @param solver never AUTO
 * @param reason a sentence without its full stop
 */
public record SolverChoice(Solver solver, String reason) {

  /** Passes over the images that conjugate gradients usually take to the default tolerance. */
  private static final double USUAL_PASSES = 200;

  /** Part of the free memory that the Gram matrix may take. */
  private static final double MEMORY_SHARE = 0.5;

  /** The choice on this machine as it is now. */
  static SolverChoice of(LqfConfig config, Plan plan, long images) {
    double macs = Macs.of(plan.backbone());
    return of(
        config,
        images,
        plan.classes(),
        macs,
        GramMatrix.work(plan, images, macs),
        GramMatrix.bytes(images, plan.classes(), plan.parameters()),
        FreeMemory.bytes());
  }

  /** What {@link Solver#AUTO} would choose for images that are not augmented. */
  public static SolverChoice usual(Plan plan, long images) {
    return of(LqfConfig.defaults(), plan, images);
  }

  /**
   * @param macs multiply-adds of one forward pass of one image
   * @param gramWork multiply-adds of {@link Solver#GRAM}
   * @param gramBytes that {@link Solver#GRAM} would hold
   * @param freeBytes that the machine has left
   */
  static SolverChoice of(
      LqfConfig config,
      long images,
      int classes,
      double macs,
      double gramWork,
      long gramBytes,
      long freeBytes) {
    if (config.solver() != Solver.AUTO) {
      return new SolverChoice(config.solver(), "asked for");
    }
    if (config.augment()) {
      return new SolverChoice(Solver.SGD_KFAC, "augmented images change with every epoch");
    }
    double side = (double) images * classes;
    double cg = USUAL_PASSES * images * 5 * macs; // forward 1, jvp 2, vjp 2
    String sizes = "%d images × %d classes".formatted(images, classes);
    if (gramBytes > MEMORY_SHARE * freeBytes || side > 46_340) {
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
