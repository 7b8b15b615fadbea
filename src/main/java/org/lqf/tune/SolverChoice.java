package org.lqf.tune;

/**
 * Which solver runs, and why.
 *
 * @param solver never AUTO
 * @param reason a sentence without its full stop
 */
record SolverChoice(Solver solver, String reason) {

  /** Passes over the images that conjugate gradients usually take to the default tolerance. */
  private static final double USUAL_PASSES = 100;

  /** Part of the free memory that the Gram matrix may take. */
  private static final double MEMORY_SHARE = 0.5;

  /**
   * @param macsPerImage multiply-adds of one forward pass of one image
   * @param gramBytes that {@link Solver#GRAM} would hold
   * @param freeBytes that the machine has left
   */
  static SolverChoice of(
      LqfConfig config,
      long images,
      int classes,
      long parameters,
      double macsPerImage,
      long gramBytes,
      long freeBytes) {
    if (config.solver() != Solver.AUTO) {
      return new SolverChoice(config.solver(), "asked for");
    }
    if (config.augment()) {
      return new SolverChoice(Solver.SGD_KFAC, "augmented images change with every epoch");
    }
    double side = (double) images * classes;
    double gram = side * side * parameters / 2 + side * side * side / 6;
    double cg = USUAL_PASSES * images * 5 * macsPerImage; // forward 1, jvp 2, vjp 2
    String sizes = "%d images × %d classes".formatted(images, classes);
    if (gramBytes > MEMORY_SHARE * freeBytes || side > 46_340) {
      return new SolverChoice(
          Solver.CG, "the Gram matrix of %s needs too much memory".formatted(sizes));
    }
    if (gram < cg) {
      return new SolverChoice(
          Solver.GRAM,
          "exact, and for %s about %.0f times less work than cg".formatted(sizes, cg / gram));
    }
    return new SolverChoice(
        Solver.CG,
        "for %s about %.0f times less work than the Gram matrix".formatted(sizes, gram / cg));
  }
}
