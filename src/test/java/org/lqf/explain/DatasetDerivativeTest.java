package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
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

class DatasetDerivativeTest {

  private static final int C = TinyProblem.CLASSES;
  private static final int N = TinyProblem.TRAIN;

  private static Engine engine;
  private static FittedModel fitted;
  private static Dual dual;
  private static ImageArray validation;

  @BeforeAll
  static void open() throws IOException {
    engine = Engine.open("cpu", 1);
    ImageArray training = TinyProblem.training();
    fitted =
        FittedModel.open(
            engine,
            TinyProblem.BACKBONE,
            TinyProblem.train(engine, training),
            training,
            TinyProblem.BATCH);
    dual = Dual.of(fitted, Progress.NONE);
    validation =
        ImageArray.labelled(
            TinyProblem.TEST_IMAGES, TinyProblem.TEST_LABELS, C, TinyProblem.SCALE, 2);
  }

  @AfterAll
  static void close() {
    dual.close();
    fitted.close();
    engine.close();
  }

  /** Mean of ½‖f(x) − y‖² over the test images of a training with these weights, in double. */
  private static double loss(double[] weights) {
    double[] alpha = Truth.TINY.alpha(Truth.all(), TinyProblem.TRAIN_LABELS, weights, dual.mu());
    double sum = 0;
    for (int t = 0; t < TinyProblem.TEST; t++) {
      double[] out = Truth.TINY.output(N + t, Truth.all(), alpha);
      out[TinyProblem.TEST_LABELS[t]] -= TinyProblem.SCALE;
      sum += Math.pow(Numbers.norm(out), 2) / 2;
    }
    return sum / TinyProblem.TEST;
  }

  private static double[] ones() {
    double[] ones = new double[N];
    Arrays.fill(ones, 1);
    return ones;
  }

  @Test
  void theDerivativeIsTheDifferenceOfTrainingsWithOtherWeights() throws IOException {
    double step = 1e-4;
    double[] expected = new double[N];
    for (int i = 0; i < N; i++) {
      double[] more = ones();
      double[] less = ones();
      more[i] += step;
      less[i] -= step;
      expected[i] = (loss(more) - loss(less)) / (2 * step);
    }
    double[] byDual = DatasetDerivative.of(fitted, dual, validation);
    assertClose(expected, byDual, 1e-4, "dual");
    assertClose(expected, DatasetDerivative.byConjugateGradients(fitted, validation), 1e-2, "cg");
    double now = loss(ones());
    assertEquals(now, DatasetDerivative.loss(fitted, validation), 1e-4 * now);
  }

  @Test
  void reweightingEqualsTrainingWithTheseWeights() throws IOException {
    double[] derivative = DatasetDerivative.of(fitted, dual, validation);
    double largest = Arrays.stream(derivative).map(Math::abs).max().orElseThrow();
    double[] weights = ones();
    for (int i = 0; i < N; i++) {
      weights[i] -= 0.5 * derivative[i] / largest;
    }
    Change change = DatasetDerivative.reweighted(fitted, dual, weights);
    double[] alpha = Truth.TINY.alpha(Truth.all(), TinyProblem.TRAIN_LABELS, weights, dual.mu());
    double[] expected = Truth.TINY.delta(Truth.all(), alpha);
    assertClose(expected, change.delta(), 2e-5, "delta");
    double error =
        Numbers.relativeError(expected, Numbers.widen(change.delta())) * Numbers.norm(expected);
    assertTrue(error <= change.receipt().certificate().distance());
    assertTrue(loss(weights) < loss(ones()), "a step against the derivative helps");
    weights[3] = 0;
    assertThrows(
        IllegalArgumentException.class, () -> DatasetDerivative.reweighted(fitted, dual, weights));
  }
}
