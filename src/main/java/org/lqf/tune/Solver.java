package org.lqf.tune;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** How the quadratic problem is solved. All reach the same optimum on the same problem. */
public enum Solver {
  /** The fastest for the data at hand; {@link TrainingReport#choice} says which and why. */
  AUTO("auto"),
  /** Conjugate gradients, preconditioned by the Hessian of some of the images. */
  CG("cg"),
  /** Conjugate gradients preconditioned by Kronecker factors. */
  CG_KFAC("cg-kfac"),
  /** Exact dual Cholesky: for few images. */
  GRAM("gram"),
  /** Stochastic gradient descent with momentum. */
  SGD("sgd"),
  /** The paper's: SGD preconditioned by Kronecker factors. */
  SGD_KFAC("sgd-kfac");

  private final String text;

  Solver(String text) {
    this.text = text;
  }

  /** Its name on the command line and in files. */
  public String text() {
    return text;
  }

  /** Whether it uses Kronecker factors. */
  public boolean preconditioned() {
    return this == CG_KFAC || this == SGD_KFAC;
  }

  /** Whether it walks through epochs of shuffled batches. */
  public boolean stochastic() {
    return this == SGD || this == SGD_KFAC;
  }

  /**
   * The solver of a {@link #text}.
   *
   * @throws IllegalArgumentException that lists the names there are
   */
  public static Solver of(String text) {
    String wanted = text.toLowerCase(Locale.ROOT);
    for (Solver solver : values()) {
      if (solver.text.equals(wanted)) {
        return solver;
      }
    }
    throw new IllegalArgumentException(
        "unknown solver \"%s\", expected one of %s"
            .formatted(
                text, Arrays.stream(values()).map(Solver::text).collect(Collectors.joining(", "))));
  }

  @Override
  public String toString() {
    return text;
  }
}
