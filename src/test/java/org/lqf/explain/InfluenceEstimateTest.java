package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.ImageArray;
import org.lqf.solve.Progress;

/** Removals by conjugate gradients are the exact ones to first order. */
class InfluenceEstimateTest {

  private static final int C = TinyProblem.CLASSES;

  /** Takes the estimate, the derivative by the Gram inverse, and the exact removals, each [N]. */
  private interface Check {
    void of(double[] estimate, double[] derivative, double[] exact);
  }

  private static void estimate(double ridge, Check check) throws IOException {
    ImageArray samples = TinyProblem.training();
    try (Engine engine = Engine.open("cpu", 1)) {
      LinearisedModel model = TinyProblem.train(engine, samples, ridge);
      try (FittedModel fitted =
              FittedModel.open(engine, TinyProblem.BACKBONE, model, samples, TinyProblem.BATCH);
          Dual dual = Dual.of(fitted, Progress.NONE)) {
        for (int c = 0; c < C; c++) {
          int asked = c;
          float[] image = TinyProblem.testImage(c);
          double[] cross = CrossKernel.of(fitted, image);
          double[] row = Arrays.copyOfRange(cross, c * dual.side(), (c + 1) * dual.side());
          double[] sensitivity = dual.multiply(row, 1);
          double[] alpha = dual.alpha();
          double[] derivative = new double[fitted.images()];
          for (int k = 0; k < alpha.length; k++) {
            derivative[k / C] -= sensitivity[k] * dual.mu() * alpha[k];
          }
          Influence influence = Influence.of(dual, LeaveOneOut.of(dual), cross);
          double[] exact = new double[fitted.images()];
          Arrays.setAll(exact, i -> influence.effect(i, asked));
          check.of(InfluenceEstimate.of(fitted, fitted.alpha(), image, c), derivative, exact);
        }
      }
    }
  }

  @Test
  void itIsTheDerivativeByTheWeightOfAnImage() throws IOException {
    estimate(
        TinyProblem.RIDGE,
        (estimate, derivative, exact) -> {
          double error = Numbers.relativeError(derivative, estimate);
          double other = Numbers.relativeError(exact, estimate);
          assertTrue(error < 1e-2 && other > 0.1, () -> error + ", " + other);
        });
  }

  @Test
  void itIsNearTheRemovalWhereNoImageSpeaksForItselfAlone() throws IOException {
    estimate(
        2500 * TinyProblem.RIDGE,
        (estimate, derivative, exact) -> {
          double error = Numbers.relativeError(exact, estimate);
          assertTrue(error < 0.1, () -> "" + error);
        });
  }
}
