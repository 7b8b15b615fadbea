package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;

import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.solve.ImageArray;
import org.lqf.solve.Progress;

/** Each closed form against trainings that really took place, in double precision. */
class ClosedFormsTest {

  /** Rows of J have errors of 1e-7; the condition number is some thousands. Seen: 1.6e-5. */
  private static final double BOUND = 2e-5;

  private static final int C = TinyProblem.CLASSES;
  private static final int N = TinyProblem.TRAIN;

  private static Engine engine;
  private static FittedModel fitted;
  private static Dual dual;

  @BeforeAll
  static void open() throws IOException {
    engine = Engine.open("cpu", 1);
    fitted =
        FittedModel.open(
            engine,
            TinyProblem.BACKBONE,
            TinyProblem.train(engine, TinyProblem.training()),
            TinyProblem.training(),
            TinyProblem.BATCH);
    dual = Dual.of(fitted, Progress.NONE);
  }

  @AfterAll
  static void close() {
    dual.close();
    fitted.close();
    engine.close();
  }

  @Test
  void theTrainedModelIsTheOracles() {
    double[] alpha = Truth.TINY.alpha(Truth.all(), dual.mu());
    assertClose(alpha, dual.alpha(), BOUND, "alpha");
    assertClose(Truth.TINY.delta(Truth.all(), alpha), fitted.model().delta(), BOUND, "delta");
  }

  @Test
  void alphaIsTheResidualOverMu() throws IOException {
    assertClose(dual.alpha(), fitted.alpha(), 1e-3, "alpha");
  }

  @Test
  void leaveOneOutEqualsForEveryImageTheTrainingWithoutIt() {
    LeaveOneOut loo = LeaveOneOut.of(dual);
    double[] expected = new double[N * C];
    double[] actual = new double[N * C];
    double loss = 0;
    int right = 0;
    for (int i = 0; i < N; i++) {
      int[] others = Truth.without(i);
      double[] out = Truth.TINY.output(i, others, Truth.TINY.alpha(others, dual.mu()));
      System.arraycopy(out, 0, expected, i * C, C);
      System.arraycopy(loo.outputs(i), 0, actual, i * C, C);
      double[] error = out.clone();
      error[TinyProblem.TRAIN_LABELS[i]] -= TinyProblem.SCALE;
      loss += Math.pow(Numbers.norm(error), 2) / 2 / N;
      right += Blocks.largest(out, 0, C) == TinyProblem.TRAIN_LABELS[i] ? 1 : 0;
      assertEquals(TinyProblem.TRAIN_LABELS[i], loo.label(i));
    }
    assertClose(expected, actual, BOUND, "leave-one-out outputs");
    assertEquals(loss, loo.meanLoss(), BOUND * loss);
    assertEquals(right / (double) N, loo.accuracy());
    assertTrue(loo.fittedLoss() < loo.meanLoss());
  }

  @Test
  void leaveOneOutWithLambdaKeptIsThatOfTheSmallerMu() {
    double mu = fitted.ridge() * (N - 1);
    double[] expected = new double[N * C];
    double[] actual = new double[N * C];
    try (Dual other = dual.at(mu)) {
      LeaveOneOut loo = LeaveOneOut.of(other);
      for (int i = 0; i < N; i++) {
        int[] others = Truth.without(i);
        double[] out = Truth.TINY.output(i, others, Truth.TINY.alpha(others, mu));
        System.arraycopy(out, 0, expected, i * C, C);
        System.arraycopy(loo.outputs(i), 0, actual, i * C, C);
      }
    }
    assertClose(expected, actual, BOUND, "leave-one-out outputs at λ(N − 1)");
    double[] fixed = new double[N * C];
    for (int i = 0; i < N; i++) {
      System.arraycopy(LeaveOneOut.of(dual).outputs(i), 0, fixed, i * C, C);
    }
    assertTrue(
        Numbers.relativeError(expected, fixed) > 10 * BOUND,
        () ->
            Numbers.relativeError(expected, fixed)
                + " the two conventions must differ visibly, or this test proves nothing");
  }

  @Test
  void influenceEqualsForEveryImageTheTrainingWithoutIt() throws IOException {
    LeaveOneOut loo = LeaveOneOut.of(dual);
    double[] full = Truth.TINY.alpha(Truth.all(), dual.mu());
    for (int t = 0; t < 3; t++) {
      int x = N + t;
      double[] cross = CrossKernel.of(fitted, TinyProblem.testImage(t));
      Influence influence = Influence.of(dual, loo, cross);
      double[] before = Truth.TINY.output(x, Truth.all(), full);
      double[] expected = new double[N * C];
      double[] actual = new double[N * C];
      for (int i = 0; i < N; i++) {
        int[] others = Truth.without(i);
        double[] after = Truth.TINY.output(x, others, Truth.TINY.alpha(others, dual.mu()));
        for (int c = 0; c < C; c++) {
          expected[i * C + c] = after[c] - before[c];
          actual[i * C + c] = influence.effect(i, c);
        }
      }
      assertClose(expected, actual, 5 * BOUND, "influence on test image " + t);
    }
  }

  @Test
  void theTermsOfAPredictionSumToIt() throws IOException {
    double[] alpha = Truth.TINY.alpha(Truth.all(), dual.mu());
    for (int t = 0; t < 3; t++) {
      float[] image = TinyProblem.testImage(t);
      double[] cross = CrossKernel.of(fitted, image);
      Attribution split = Attribution.of(fitted, dual.alpha(), image, cross);
      double[] sum = split.base();
      double[] expected = new double[N * C];
      double[] actual = new double[N * C];
      for (int i = 0; i < N; i++) {
        double[] k = Truth.TINY.block(N + t, i);
        for (int c = 0; c < C; c++) {
          for (int d = 0; d < C; d++) {
            expected[i * C + c] += k[c * C + d] * alpha[i * C + d];
          }
          actual[i * C + c] = split.term(i, c);
          sum[c] += split.term(i, c);
        }
      }
      assertClose(expected, actual, BOUND, "terms");
      assertClose(split.output(), sum, 1e-5, "sum");
      assertEquals(0, Numbers.norm(split.rest()) / Numbers.norm(split.output()), BOUND);
      Attribution byModel = Attribution.of(fitted, fitted.alpha(), image, cross);
      assertEquals(0, Numbers.norm(byModel.rest()) / Numbers.norm(split.output()), 2e-2);
      int best = split.ranking(0).get(0);
      assertEquals(Arrays.stream(column(actual, 0)).max().orElseThrow(), split.term(best, 0));
    }
  }

  private static double[] column(double[] rows, int c) {
    double[] column = new double[N];
    Arrays.setAll(column, i -> rows[i * C + c]);
    return column;
  }

  @Test
  void bothWaysToTheCrossKernelGiveTheOracles() throws IOException {
    double[] expected = new double[TinyProblem.TEST * C * N * C];
    for (int t = 0; t < TinyProblem.TEST; t++) {
      for (int i = 0; i < N; i++) {
        double[] k = Truth.TINY.block(N + t, i);
        for (int e = 0; e < C * C; e++) {
          expected[(t * C + e / C) * N * C + i * C + e % C] = k[e];
        }
      }
    }
    double[] tiled = new double[expected.length];
    int batch = 4; // divides neither
    ImageArray train =
        ImageArray.labelled(
            TinyProblem.TRAIN_IMAGES, TinyProblem.TRAIN_LABELS, C, TinyProblem.SCALE, batch);
    ImageArray test = ImageArray.unlabelled(TinyProblem.TEST_IMAGES, TinyProblem.TEST, C, batch);
    FittedModel small =
        FittedModel.open(engine, TinyProblem.BACKBONE, fitted.model(), train, batch);
    CrossKernel.forEach(
        small,
        test,
        (first, n, cross, own) -> {
          System.arraycopy(cross, 0, tiled, first * C * N * C, cross.length);
          double[] self = Truth.TINY.block(N + first, N + first);
          assertClose(self, Arrays.copyOf(own, C * C), 1e-5, "k(x, x)");
        });
    assertClose(expected, tiled, 1e-5, "tiles");
    small.close();
    double[] one = CrossKernel.of(fitted, TinyProblem.testImage(1));
    assertClose(Arrays.copyOfRange(expected, C * N * C, 2 * C * N * C), one, 1e-5, "jvps");
  }

  @Test
  void anImageIsMostAlikeToItself() {
    for (int i = 0; i < N; i++) {
      assertEquals(1, dual.cosine(i, i), 1e-6);
      for (int j = 0; j < N; j++) {
        assertEquals(dual.cosine(i, j), dual.cosine(j, i), 1e-6);
        assertTrue(i == j || dual.cosine(i, j) < 1 - 1e-4);
      }
      double[] own = Truth.TINY.block(i, i);
      double trace = 0;
      for (int c = 0; c < C; c++) {
        trace += own[c * C + c];
      }
      assertEquals(trace, dual.similarity(i, i), 1e-5 * trace);
    }
  }
}
