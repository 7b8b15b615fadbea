package org.lqf.explain;

import java.io.IOException;
import java.util.Arrays;
import java.util.Objects;
import java.util.stream.IntStream;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Certificate;
import org.lqf.solve.Checkpoint;
import org.lqf.solve.ConjugateGradient;
import org.lqf.solve.GramMatrix;
import org.lqf.solve.GramSolver;
import org.lqf.solve.LeastSquares;
import org.lqf.solve.Progress;
import org.lqf.solve.Samples;
import org.lqf.solve.Solution;

/**
 * The model as it would be without some of its images, or with more: the optimum of the changed
 * problem at the same λ, from the same linearisation point. Since that optimum is unique, the
 * result does not remember the way: it equals a training from scratch up to rounding.
 *
 * <p>Two routes. With the {@link Dual} at hand: an update of low rank, then Δ = Jᵀα in one pass and
 * a check in another, whatever the solver of the old model left undone. Without it: conjugate
 * gradients that start from the old Δ, some tens of passes.
 *
 * @param tolerance of the dual route: refine until the certified distance ‖∇L‖/(λ‖Δ‖) is at most
 *     this or the answers are exact to rounding; of CG: stop at ‖∇L(Δ)‖ ≤ tolerance · ‖∇L(0)‖
 * @param iterations the most steps of CG
 */
public record Unlearner(double tolerance, int iterations) {

  private static final String GRAM = "gram";
  private static final String ANEW = "gram anew";
  private static final String CG = "cg";

  private static final int MAX_REFINEMENTS = 4;

  /** A refinement must bring the gradient to less than this part of what it was. */
  private static final double WORTHWHILE = 0.5;

  /**
   * Of ‖y − f − μα‖ to ‖y‖: answers are then those of the optimum to a ten-thousandth of a score,
   * as those of a training are, and a refinement moves Δ by less than rounding does.
   */
  private static final double ROUNDING = 1e-4;

  /** Rows of G that an update holds on the heap, in doubles. */
  private static final long MAX_ROWS = 1L << 27;

  /** Tight enough that Δ is nearer to the optimum than a training in single precision comes. */
  public static final Unlearner DEFAULT = new Unlearner(1e-4, 2000);

  public Unlearner {
    if (!(tolerance > 0 && tolerance < 1) || iterations < 1) {
      throw new IllegalArgumentException(
          "tolerance must lie in (0, 1) and iterations be at least 1, got %s and %d"
              .formatted(tolerance, iterations));
    }
  }

  /** Whether the dual route can take this many images out of, or put them into, a dual. */
  public static boolean fitsDual(Dual dual, int images) {
    return fitsRows(dual, (long) images * dual.classes());
  }

  /** The same for rows. */
  public static boolean fitsRows(Dual dual, long rows) {
    return rows * dual.side() <= MAX_ROWS;
  }

  /**
   * Takes images out by the dual.
   *
   * @param dual of the fitted model
   * @param removed indices, distinct
   * @throws IllegalArgumentException if a class would be left without images, or fewer than one
   *     image; says so
   */
  public Change forget(FittedModel fitted, Dual dual, int[] removed) throws IOException {
    checkRemoval(fitted, removed);
    Samples rest = SampleSelection.without(fitted.samples(), removed);
    try (ChangedInverse.Without inverse = ChangedInverse.Without.images(dual, removed)) {
      return solve(fitted, inverse, rest, scope(fitted, removed.length, 0));
    }
  }

  /**
   * Takes images, classes or both out by a dual that still has them; the dual may know more images
   * than the model that was changed last.
   *
   * @param after the changed problem: its images and classes are what is left of the dual's, in the
   *     dual's order
   * @param rows of the dual that are left out, distinct: i·C + c is class c of image i
   */
  public Change forget(FittedModel after, Dual dual, int[] rows, Scope scope) throws IOException {
    if (dual.side() - rows.length != after.images() * after.classes()) {
      throw new IllegalArgumentException(
          "%d of %d rows of the dual are left out, which leaves no %d images × %d classes"
              .formatted(rows.length, dual.side(), after.images(), after.classes()));
    }
    try (ChangedInverse.Without inverse = new ChangedInverse.Without(dual, rows)) {
      return solve(after, inverse, after.samples(), scope);
    }
  }

  /** Takes images out by conjugate gradients. */
  public Change forget(FittedModel fitted, int[] removed, Progress progress) throws IOException {
    checkRemoval(fitted, removed);
    Samples rest = SampleSelection.without(fitted.samples(), removed);
    return solve(fitted, rest, scope(fitted, removed.length, 0), progress);
  }

  /**
   * Adds images of the known classes by the dual.
   *
   * @param added with targets; they come behind the old ones
   */
  public Change learn(FittedModel fitted, Dual dual, Samples added) throws IOException {
    Samples union = SampleUnion.of(fitted.samples(), added);
    return learn(fitted, dual, added, union, scope(fitted, 0, added.size()));
  }

  /**
   * Adds images by the dual of those before.
   *
   * @param after the changed problem: the dual's images, then the new ones
   */
  public Change learn(FittedModel after, Dual dual, Scope scope) throws IOException {
    int[] old = IntStream.range(0, dual.images()).toArray();
    Samples added = SampleSelection.without(after.samples(), old);
    return learn(after, dual, added, after.samples(), scope);
  }

  private Change learn(FittedModel fitted, Dual dual, Samples added, Samples union, Scope scope)
      throws IOException {
    int classes = fitted.classes();
    int count = added.size() * classes;
    int side = dual.side();
    double[] cross = new double[Math.multiplyExact(count, side)];
    CrossKernel.forEach( // where the problem is the changed one, rows go on with the new images
        fitted,
        added,
        (first, n, rows, diagonal) -> {
          int length = rows.length / (n * classes);
          for (int row = 0; row < n * classes; row++) {
            System.arraycopy(rows, row * length, cross, (first * classes + row) * side, side);
          }
        });
    double[] own;
    try (SymmetricMatrix kernel =
        GramMatrix.of(fitted.engine(), fitted.plan(), added, Progress.NONE)) {
      own = kernel.toArray();
    }
    double[] residual = fitted.errors(added, null);
    try (ChangedInverse.With inverse = new ChangedInverse.With(dual, cross, own, residual)) {
      return solve(fitted, inverse, union, scope);
    }
  }

  /** Adds images of the known classes by conjugate gradients. */
  public Change learn(FittedModel fitted, Samples added, Progress progress) throws IOException {
    Samples union = SampleUnion.of(fitted.samples(), added);
    return solve(fitted, union, scope(fitted, 0, added.size()), progress);
  }

  /** The optimum of the model's own images by conjugate gradients from the model's Δ. */
  public Change polish(FittedModel fitted, Progress progress) throws IOException {
    return polish(fitted, scope(fitted, 0, 0), progress);
  }

  /**
   * The same after a change.
   *
   * @param after the changed problem; its Δ is where the search starts
   */
  public Change polish(FittedModel after, Scope scope, Progress progress) throws IOException {
    return solve(after, after.samples(), scope, progress);
  }

  /** The optimum of the changed problem by a Gram matrix of its own, whatever was known before. */
  public Change anew(FittedModel after, Scope scope, Progress progress) throws IOException {
    try (LeastSquares problem =
            new LeastSquares(after.engine(), after.plan(), after.samples(), after.ridge());
        DeviceVector delta = after.engine().vector(after.delta().length())) {
      Solution solution = GramSolver.solve(problem, delta, progress);
      return change(after, ANEW, scope, solution.iterations(), solution.certificate(), delta);
    }
  }

  /** What a change is about, for its receipt: images of the model before, taken out, put in. */
  public record Scope(int imagesBefore, int removed, int added) {}

  private static Scope scope(FittedModel fitted, int removed, int added) {
    return new Scope(fitted.images(), removed, added);
  }

  private Change solve(FittedModel fitted, ChangedInverse inverse, Samples samples, Scope scope)
      throws IOException {
    double mu = fitted.ridge() * samples.size();
    double rounding = ROUNDING * fitted.model().fit().targetScale() * Math.sqrt(samples.size());
    double[] alpha = inverse.shift(inverse.alpha(), mu);
    try (DeviceVector delta = fitted.engine().vector(fitted.delta().length());
        DeviceVector best = fitted.engine().vector(delta.length())) {
      FittedModel.Check check = null;
      int refinements = 0;
      while (true) {
        fitted.addTransposed(samples, alpha, delta.fill(0));
        FittedModel.Check next = fitted.check(samples, fitted.ridge(), delta);
        double before =
            check == null ? Double.POSITIVE_INFINITY : check.certificate().gradientNorm();
        double after = next.certificate().gradientNorm();
        if (after < before) {
          best.set(delta);
          check = next;
        }
        double[] error = next.errors();
        double squares = 0;
        for (int i = 0; i < error.length; i++) {
          error[i] -= mu * alpha[i];
          squares += error[i] * error[i];
        }
        double distance = next.certificate().distance() / delta.norm();
        if (distance <= tolerance
            || Math.sqrt(squares) <= rounding
            || after >= WORTHWHILE * before
            || refinements == MAX_REFINEMENTS
            || check == null) {
          break;
        }
        refinements++;
        double[] correction = inverse.shift(inverse.apply(error), mu);
        for (int i = 0; i < alpha.length; i++) {
          alpha[i] += correction[i];
        }
      }
      if (check == null) {
        throw new ArithmeticException("the gradient of the changed problem is not a number");
      }
      return change(fitted, GRAM, scope, refinements, check.certificate(), best);
    }
  }

  private Change solve(FittedModel fitted, Samples samples, Scope scope, Progress progress)
      throws IOException {
    try (LeastSquares problem =
            new LeastSquares(fitted.engine(), fitted.plan(), samples, fitted.ridge());
        DeviceVector delta = fitted.engine().vector(fitted.delta().length());
        DeviceVector gradient = fitted.engine().vector(delta.length())) {
      double first = problem.certify(delta, gradient).gradientNorm();
      Certificate start = problem.certify(delta.set(fitted.delta()), gradient);
      double relative = tolerance * first / start.gradientNorm();
      if (relative >= 1) {
        return change(fitted, CG, scope, 0, start, delta);
      }
      Solution solution =
          new ConjugateGradient(relative, iterations)
              .solve(problem, null, delta, progress, Checkpoint.NONE);
      return change(fitted, CG, scope, solution.iterations(), solution.certificate(), delta);
    }
  }

  private static Change change(
      FittedModel fitted,
      String route,
      Scope scope,
      int iterations,
      Certificate certificate,
      DeviceVector delta) {
    float[] values = delta.toArray();
    double norm = delta.norm();
    double change = delta.add(-1, fitted.delta()).norm();
    Receipt receipt =
        new Receipt(
            route,
            scope.imagesBefore,
            scope.removed,
            scope.added,
            iterations,
            certificate,
            norm,
            change);
    return new Change(values, receipt);
  }

  private static void checkRemoval(FittedModel fitted, int[] removed) throws IOException {
    int[] sorted = removed.clone();
    Arrays.sort(sorted);
    for (int i = 1; i < sorted.length; i++) {
      if (sorted[i] == sorted[i - 1]) {
        throw new IllegalArgumentException("image %d is to be removed twice".formatted(sorted[i]));
      }
    }
    if (removed.length == 0) {
      throw new IllegalArgumentException("no image is to be removed; name at least one");
    }
    if (removed.length >= fitted.images()) {
      throw new IllegalArgumentException(
          "all %d images are to be removed; a model needs some".formatted(fitted.images()));
    }
    int[] labels = fitted.labels();
    int[] left = new int[fitted.classes()];
    int[] had = new int[fitted.classes()];
    for (int label : labels) {
      left[label]++;
      had[label]++;
    }
    for (int image : removed) {
      left[labels[Objects.checkIndex(image, labels.length)]]--;
    }
    for (int c = 0; c < left.length; c++) {
      if (left[c] == 0 && had[c] > 0) {
        throw new IllegalArgumentException(
            "no image of class \"%s\" would be left, and the model could never answer it; remove the class as a whole or keep an image"
                .formatted(fitted.model().labels().get(c)));
      }
    }
  }
}
