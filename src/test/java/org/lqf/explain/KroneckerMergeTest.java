package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.engine.Plan;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.ImageArray;
import org.lqf.solve.Samples;

/** The approximate merge is exact where Kronecker factors are, and only there. */
class KroneckerMergeTest {

  private static final String HEAD =
      TinyProblem.NETWORK.blocks().get(TinyProblem.NETWORK.blocks().size() - 1).node();

  private static KroneckerFactors factors(Engine engine, Plan plan, Samples samples) {
    KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.REDUCE);
    try {
      samples.forEach(
          Samples.IN_ORDER,
          (images, n, targets) -> {
            plan.forward(images, n);
            factors.accumulate(plan);
          });
      return factors;
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private interface Check {
    void of(double[] exact, float[] merged, double[] mean);
  }

  private static void merge(Set<String> layers, double ridge, Check check) throws IOException {
    int half = TinyProblem.TRAIN / 2;
    ImageArray first = TinyProblem.samples(IntStream.range(0, half).toArray());
    ImageArray second = TinyProblem.samples(IntStream.range(half, TinyProblem.TRAIN).toArray());
    try (Engine engine = Engine.open("cpu", 1);
        Plan plan = engine.compile(TinyProblem.NETWORK, layers, TinyProblem.BATCH);
        KroneckerFactors left = factors(engine, plan, first);
        KroneckerFactors right = factors(engine, plan, second)) {
      LinearisedModel a = TinyProblem.train(engine, first, ridge, layers);
      LinearisedModel b = TinyProblem.train(engine, second, ridge, layers);
      LinearisedModel all = TinyProblem.train(engine, TinyProblem.training(), ridge, layers);
      float[] merged = KroneckerMerge.of(TinyProblem.NETWORK, List.of(a, b), List.of(left, right));
      double[] mean = new double[merged.length];
      float[] one = a.delta();
      float[] other = b.delta();
      for (int k = 0; k < mean.length; k++) {
        mean[k] = ((double) one[k] + other[k]) / 2;
      }
      check.of(Numbers.widen(all.delta()), merged, mean);
    }
  }

  /**
   * Layers interact, which the factors leave out: here the plain mean is nearer. Exact blocks of
   * the layers in place of the factors would not do either, they are 56 % off.
   */
  @Test
  void itIsNoSubstituteForTheExactMergeOfAllLayers() throws IOException {
    merge(
        TinyProblem.allLayers(),
        TinyProblem.RIDGE,
        (exact, merged, mean) -> {
          double error = Numbers.relativeError(exact, Numbers.widen(merged));
          double average = Numbers.relativeError(exact, mean);
          assertTrue(error > 0.1 && error < 1 && average > 0.1, () -> error + ", " + average);
        });
  }

  /** Where the ridge holds them together more, the layers interact less. */
  @Test
  void itIsNearerThanTheMeanWhereTheRidgeIsStronger() throws IOException {
    merge(
        TinyProblem.allLayers(),
        100 * TinyProblem.RIDGE,
        (exact, merged, mean) -> {
          double error = Numbers.relativeError(exact, Numbers.widen(merged));
          double average = Numbers.relativeError(exact, mean);
          assertTrue(error < 0.98 * average && average > 0.1, () -> error + ", " + average);
        });
  }

  @Test
  void itIsExactForTheLastLayer() throws IOException {
    merge(
        Set.of(HEAD),
        TinyProblem.RIDGE,
        (exact, merged, mean) -> {
          double error = Numbers.relativeError(exact, Numbers.widen(merged));
          double average = Numbers.relativeError(exact, mean);
          assertTrue(error < 1e-4 && average > 100 * error, () -> error + " against " + average);
        });
  }
}
