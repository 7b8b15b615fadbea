package org.lqf.solve;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.curvature.Damping;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Goldens;
import org.lqf.engine.Numbers;
import org.lqf.engine.Plan;
import org.lqf.model.Certificate;

/**
 * All solvers against the optimum that PyTorch computed in double precision, and against the first
 * steps of the paper's SGD. The condition number of the problem is about 2600, so Δ in single
 * precision comes as near as 1e-4, not as 1e-7.
 */
class SolversGoldenTest {

  private static final double OPTIMUM_BOUND = 3e-4;

  private static KroneckerFactors factors(Plan plan, Damping damping) throws IOException {
    KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.EXPAND);
    GoldenProblem.samples(GoldenProblem.IMAGES)
        .forEach(
            Samples.IN_ORDER,
            (images, n, targets) -> {
              plan.forward(images, n);
              factors.accumulate(plan);
            });
    return factors.invert(damping);
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void conjugateGradientsReachTheOptimum(String device) throws IOException {
    try (Engine engine = Engine.open(device, 2);
        Plan plan = GoldenProblem.compile(engine);
        LeastSquares problem = GoldenProblem.of(engine, plan, 5);
        KroneckerFactors factors = factors(plan, Damping.exact(5));
        DeviceVector delta = engine.vector(plan.parameters())) {
      ConjugateGradient cg = new ConjugateGradient(1e-6, 500);
      Solution plain = cg.solve(problem, null, delta, Progress.NONE, Checkpoint.NONE);
      assertClose(GoldenProblem.doubles("optimum"), delta.toArray(), OPTIMUM_BOUND, "cg");
      assertEquals(GoldenProblem.doubles("losses")[1], plain.certificate().loss(), 1e-4);
      delta.fill(0);
      Solution kfac =
          cg.solve(problem, factors::precondition, delta, Progress.NONE, Checkpoint.NONE);
      assertClose(GoldenProblem.doubles("optimum"), delta.toArray(), OPTIMUM_BOUND, "cg-kfac");
      assertEquals(GoldenProblem.doubles("losses")[1], kfac.certificate().loss(), 1e-4);
      for (int size : new int[] {1, 5, 12}) {
        try (SubsampledHessian part = SubsampledHessian.of(problem, size, Progress.NONE)) {
          delta.fill(0);
          Solution solution = cg.solve(part, delta, Progress.NONE, Checkpoint.NONE);
          assertClose(GoldenProblem.doubles("optimum"), delta.toArray(), OPTIMUM_BOUND, "part");
          assertTrue(size < 12 || solution.iterations() < plain.iterations(), solution::toString);
          double best = GoldenProblem.doubles("losses")[1];
          delta.fill(0);
          Certificate early =
              new ConjugateGradient(0.1, 1)
                  .solve(part, delta, Progress.NONE, Checkpoint.NONE)
                  .certificate();
          assertTrue(early.loss() - best <= early.gap() + 1e-4, early::toString);
          assertTrue(early.gap() < plainGap(early), early::toString);
        }
      }
    }
  }

  private static double plainGap(Certificate c) {
    return new Certificate(c.loss(), c.gradientNorm(), c.ridge()).gap();
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void theHessianOfAllImagesIsInverted(String device) throws IOException {
    try (Engine engine = Engine.open(device, 2);
        Plan plan = GoldenProblem.compile(engine);
        Plan small = engine.compile(Goldens.kinds(), 5);
        LeastSquares problem = GoldenProblem.of(engine, plan, 12);
        LeastSquares steeper =
            new LeastSquares(engine, plan, GoldenProblem.samples(12), 30 * problem.ridge());
        LeastSquares pieces =
            new LeastSquares(engine, small, GoldenProblem.samples(5), 30 * problem.ridge());
        SubsampledHessian part = SubsampledHessian.of(steeper, 12, Progress.NONE);
        SubsampledHessian cut = SubsampledHessian.of(pieces, 12, Progress.NONE);
        DeviceVector vector = engine.vector(Numbers.normal((int) plan.parameters(), 3));
        DeviceVector product = engine.vector(plan.parameters());
        DeviceVector back = engine.vector(plan.parameters())) {
      steeper.hessian(vector, product);
      part.apply(product, back);
      assertClose(Numbers.widen(vector.toArray()), back.toArray(), 1e-3, "H⁻¹H");
      float[] kept = back.toArray();
      cut.apply(product, back);
      assertArrayEquals(kept, back.toArray(), "in batches");
      double exact = vector.dot(product);
      double bound = part.bound(product, back);
      assertEquals(exact, bound, 1e-5 * exact);
      assertEquals(bound, cut.bound(product, back), "in batches");
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void theImagesOfThePartAndTheOthersAreTheProblem(String device) throws IOException {
    try (Engine engine = Engine.open(device, 2);
        Plan plan = GoldenProblem.compile(engine);
        Plan small = engine.compile(Goldens.kinds(), 5);
        LeastSquares problem = GoldenProblem.of(engine, plan, 12);
        LeastSquares pieces = GoldenProblem.of(engine, small, 5);
        SubsampledHessian part = SubsampledHessian.of(problem, 7, Progress.NONE);
        SubsampledHessian cut = SubsampledHessian.of(pieces, 7, Progress.NONE);
        DeviceVector vector = engine.vector(Numbers.normal((int) plan.parameters(), 4));
        DeviceVector expected = engine.vector(plan.parameters());
        DeviceVector product = engine.vector(plan.parameters())) {
      double loss = problem.gradient(vector, expected);
      assertEquals(loss, part.problem().gradient(vector, product), 1e-6 * loss);
      assertClose(Numbers.widen(expected.toArray()), product.toArray(), 1e-5, "gradient");
      float[] kept = product.toArray();
      assertEquals(
          part.problem().gradient(vector, product), cut.problem().gradient(vector, product));
      assertArrayEquals(kept, product.toArray(), "gradient in batches");
      problem.hessian(vector, expected);
      part.problem().hessian(vector, product);
      assertClose(Numbers.widen(expected.toArray()), product.toArray(), 1e-5, "H");
      kept = product.toArray();
      cut.problem().hessian(vector, product);
      assertArrayEquals(kept, product.toArray(), "H in batches");
      part.apply(vector, product); // A⁻¹v; what A makes of it is v
      problem.hessian(product, expected);
      part.addRest(product, vector);
      assertClose(Numbers.widen(expected.toArray()), vector.toArray(), 1e-4, "A and the rest");
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void stepsThatLeaveThePartOutAreThoseOfAllImages(String device) throws IOException {
    try (Engine engine = Engine.open(device, 2);
        Plan plan = GoldenProblem.compile(engine);
        LeastSquares problem = GoldenProblem.of(engine, plan, 12);
        SubsampledHessian part = SubsampledHessian.of(problem, 5, Progress.NONE);
        DeviceVector all = engine.vector(plan.parameters());
        DeviceVector few = engine.vector(plan.parameters())) {
      ConjugateGradient cg = new ConjugateGradient(1e-6, 6);
      cg.solve(problem, part, all, Progress.NONE, Checkpoint.NONE);
      cg.solve(part, few, Progress.NONE, Checkpoint.NONE);
      assertClose(Numbers.widen(all.toArray()), few.toArray(), 1e-3, "after 6 steps");
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void theGramSystemReachesTheOptimum(String device) throws IOException {
    try (Engine engine = Engine.open(device, 2);
        Plan plan = GoldenProblem.compile(engine);
        LeastSquares problem = GoldenProblem.of(engine, plan, 5);
        DeviceVector delta = engine.vector(plan.parameters()).fill(3)) {
      Solution solution = GramSolver.solve(problem, delta, Progress.NONE);
      assertClose(GoldenProblem.doubles("optimum"), delta.toArray(), OPTIMUM_BOUND, "gram");
      double loss = GoldenProblem.doubles("losses")[1];
      assertEquals(loss, solution.certificate().loss(), 1e-4);
      assertTrue(solution.certificate().gap() < 1e-5 * loss, solution::toString);
    }
  }

  @Test
  void theFirstStepsOfSgdAreThoseOfPyTorch() throws IOException {
    int steps = (int) GoldenProblem.number("steps");
    double momentum = GoldenProblem.number("momentum");
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = GoldenProblem.compile(engine);
        LeastSquares problem = GoldenProblem.of(engine, plan, GoldenProblem.IMAGES);
        KroneckerFactors factors =
            factors(plan, Damping.factored(GoldenProblem.number("damping")));
        DeviceVector delta = engine.vector(plan.parameters())) {
      // Twice the epochs: the rate is constant in the first half, where the golden run ends.
      List<float[]> deltas = new ArrayList<>();
      new Sgd(2 * steps, GoldenProblem.number("kfac_rate"), momentum)
          .solve(problem, factors, delta, step -> deltas.add(delta.toArray()), Checkpoint.NONE);
      assertClose(GoldenProblem.doubles("kfac_sgd"), deltas.get(steps - 1), 1e-5, "kfac sgd");
      delta.fill(0);
      deltas.clear();
      new Sgd(2 * steps, GoldenProblem.number("sgd_rate"), momentum)
          .solve(problem, null, delta, step -> deltas.add(delta.toArray()), Checkpoint.NONE);
      assertClose(GoldenProblem.doubles("sgd"), deltas.get(steps - 1), 1e-5, "sgd");
    }
  }

  @Test
  void longSgdAtItsOwnRateReachesTheOptimum() throws IOException {
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = GoldenProblem.compile(engine);
        LeastSquares problem = GoldenProblem.of(engine, plan, 4);
        KroneckerFactors factors = factors(plan, Damping.exact(5));
        DeviceVector delta = engine.vector(plan.parameters())) {
      Solution solution =
          new Sgd(400, Double.NaN, 0.9)
              .solve(problem, factors, delta, Progress.NONE, Checkpoint.NONE);
      double[] losses = GoldenProblem.doubles("losses"); // at 0, at the optimum, …
      double left = (solution.certificate().loss() - losses[1]) / (losses[0] - losses[1]);
      assertTrue(left < 1e-3, () -> "part of the way that is left: " + left);
    }
  }

  @Test
  void aMeasuredRateThatIsTooLargeIsHalvedUntilTheLossFalls() throws IOException {
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = GoldenProblem.compile(engine);
        LeastSquares problem = GoldenProblem.of(engine, plan, 1); // batches that differ the most
        DeviceVector delta = engine.vector(plan.parameters())) {
      Solution solution =
          new Sgd(60, Double.NaN, 0.97).solve(problem, null, delta, Progress.NONE, Checkpoint.NONE);
      double[] losses = solution.trace().stream().mapToDouble(Progress.Step::loss).toArray();
      double most = Arrays.stream(losses).max().orElseThrow();
      assertTrue(most > 4 * losses[0], () -> "the rate was not too large: " + most);
      double end = solution.certificate().loss();
      assertTrue(end < losses[0] / 4, () -> "loss " + end);
    }
  }

  @Test
  void anSgdThatDivergesSaysSo() throws IOException {
    try (Engine engine = Engine.open("cpu", 1);
        Plan plan = GoldenProblem.compile(engine);
        LeastSquares problem = GoldenProblem.of(engine, plan, 4);
        DeviceVector delta = engine.vector(plan.parameters())) {
      ArithmeticException e =
          assertThrows(
              ArithmeticException.class,
              () ->
                  new Sgd(50, 10, 0.9).solve(problem, null, delta, Progress.NONE, Checkpoint.NONE));
      assertTrue(e.getMessage().contains("smaller"), e::getMessage);
    }
  }

  @Test
  void theCertificateBoundsTheDistanceToTheOptimum() throws IOException {
    double[] optimum = GoldenProblem.doubles("optimum");
    double best = GoldenProblem.doubles("losses")[1];
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = GoldenProblem.compile(engine);
        LeastSquares problem = GoldenProblem.of(engine, plan, 12);
        DeviceVector gradient = engine.vector(plan.parameters());
        DeviceVector delta = engine.vector(plan.parameters())) {
      Solution early =
          new ConjugateGradient(0.05, 500)
              .solve(problem, null, delta, Progress.NONE, Checkpoint.NONE);
      Certificate certificate = problem.certify(delta, gradient);
      assertEquals(early.certificate(), certificate);
      float[] reached = delta.toArray();
      double distance = 0;
      for (int i = 0; i < reached.length; i++) {
        distance += Math.pow(reached[i] - optimum[i], 2);
      }
      assertTrue(Math.sqrt(distance) <= certificate.distance(), certificate::toString);
      assertTrue(certificate.loss() - best <= certificate.gap(), certificate::toString);
      assertTrue(certificate.loss() > best);
    }
  }

  /** Keeps the state of one iteration and, after a kill, gives it back. */
  private static final class Kept implements Checkpoint {
    private final int wanted;
    private Optional<State> state = Optional.empty();

    Kept(int wanted) {
      this.wanted = wanted;
    }

    @Override
    public Optional<State> restore() {
      return state;
    }

    @Override
    public void offer(Supplier<State> supplier) {
      State offered = supplier.get();
      if (offered.iteration() == wanted) {
        state = Optional.of(offered);
      }
    }
  }

  @Test
  void aRunThatGoesOnEndsWithTheSameBits() throws IOException {
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = GoldenProblem.compile(engine);
        LeastSquares problem = GoldenProblem.of(engine, plan, 5);
        KroneckerFactors factors = factors(plan, Damping.exact(5));
        DeviceVector delta = engine.vector(plan.parameters())) {
      ConjugateGradient cg = new ConjugateGradient(1e-5, 500);
      Kept kept = new Kept(7);
      Solution whole = cg.solve(problem, factors::precondition, delta, Progress.NONE, kept);
      float[] expected = delta.toArray();
      assertFalse(kept.restore().isEmpty());
      Solution rest = cg.solve(problem, factors::precondition, delta.fill(9), Progress.NONE, kept);
      assertArrayEquals(expected, delta.toArray());
      assertEquals(whole.iterations(), rest.iterations());
      assertEquals(whole.certificate(), rest.certificate());

      Sgd sgd = new Sgd(8, Double.NaN, 0.9);
      Kept epoch = new Kept(3);
      sgd.solve(problem, factors, delta.fill(0), Progress.NONE, epoch);
      expected = delta.toArray();
      assertFalse(epoch.restore().isEmpty());
      sgd.solve(problem, factors, delta.fill(9), Progress.NONE, epoch);
      assertArrayEquals(expected, delta.toArray());
    }
  }

  @Test
  void theBitsDependOnNeitherThreadsNorBatches() throws IOException {
    float[] expected = null;
    for (int threads = 1; threads <= 2; threads++) {
      try (Engine engine = Engine.open("cpu", threads);
          Plan plan = GoldenProblem.compile(engine);
          LeastSquares problem = GoldenProblem.of(engine, plan, 3 + threads);
          DeviceVector delta = engine.vector(plan.parameters())) {
        new ConjugateGradient(1e-3, 500)
            .solve(problem, null, delta, Progress.NONE, Checkpoint.NONE);
        expected = expected == null ? delta.toArray() : expected;
        assertArrayEquals(expected, delta.toArray());
      }
    }
  }

  @Test
  void aProblemWithoutRidgeOrImagesIsRefused() {
    try (Engine engine = Engine.open("cpu", 1);
        Plan plan = GoldenProblem.compile(engine)) {
      for (double ridge : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
        assertThrows(
            IllegalArgumentException.class,
            () -> new LeastSquares(engine, plan, GoldenProblem.samples(4), ridge).close());
      }
      assertThrows(IllegalArgumentException.class, () -> new ConjugateGradient(0, 5));
      assertThrows(IllegalArgumentException.class, () -> new Sgd(0, 1, 0.9));
      assertThrows(IllegalArgumentException.class, () -> GramMatrix.side(1_000_000, 10));
    }
  }
}
