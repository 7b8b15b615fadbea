package org.lqf.tune;

import java.util.Set;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;
import org.lqf.model.Macs;
import org.lqf.solve.GramMatrix;
import org.lqf.solve.GramWork;
import org.lqf.solve.SubsampledHessian;

/**
 * Which solver runs, and why.
 *
 * @param solver never AUTO
 * @param reason a sentence without its full stop
 */
public record SolverChoice(Solver solver, String reason) {

  /**
   * Iterations that conjugate gradients usually take: ½√κ ln(2/ε) bounds them (Saad 2003, §6.11.3),
   * and κ is about 1/(2ρm), with the ridge ρ relative to the mean squared norm of a row of J, where
   * a part of m images preconditions. So it was, within 1.8, for 40 to 1,000 images of fashion10
   * and signdigits10 at the default ridge, which is taken for granted here; without a part, m = 1.
   *
   * @param part images that precondition, 0 for none
   * @param unknowns images × classes: more steps there are not
   */
  static double usualIterations(LqfConfig config, int part, double unknowns) {
    double condition = 1 / (2 * LqfConfig.DEFAULT_RELATIVE_RIDGE * Math.max(1, part));
    double usual = Math.sqrt(condition) / 2 * Math.log(2 / config.tolerance());
    return Math.min(Math.max(1, usual), Math.min(unknowns, config.iterations()));
  }

  /** What {@link Solver#AUTO} would choose here and now for images that are not augmented. */
  public static SolverChoice usual(Plan plan, long images) {
    Backbone network = plan.backbone();
    Set<String> layers = plan.linearised().layers();
    int most = (int) Math.min(images, Integer.MAX_VALUE);
    return of(
        LqfConfig.defaults(),
        images,
        plan.classes(),
        SubsampledHessian.size(network, layers, images),
        Macs.of(network),
        GramWork.of(network, layers, images, most).multiplyAdds(),
        GramMatrix.fits(plan, images, FreeMemory.bytes()));
  }

  /**
   * @param part images that precondition {@link Solver#CG}, 0 for none
   * @param macs multiply-adds of one forward pass of one image
   * @param gramWork multiply-adds of {@link Solver#GRAM}
   * @param gramFits whether there is memory for {@link Solver#GRAM}
   */
  static SolverChoice of(
      LqfConfig config,
      long images,
      int classes,
      int part,
      double macs,
      double gramWork,
      boolean gramFits) {
    if (config.solver() != Solver.AUTO) {
      return new SolverChoice(config.solver(), "asked for");
    }
    if (config.augment()) {
      return new SolverChoice(Solver.SGD_KFAC, "augmented images change with every epoch");
    }
    double iterations = usualIterations(config, part, (double) images * classes);
    double cg = iterations * images * 5 * macs; // forward 1, jvp 2, vjp 2
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
