package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.solve.Progress;

class RidgePathTest {

  private static final double BOUND = 1e-4;
  private static final int C = TinyProblem.CLASSES;
  private static final int N = TinyProblem.TRAIN;

  @Test
  void everyPointIsATrainingOfItsOwn() throws IOException {
    try (Engine engine = Engine.open("cpu", 1);
        FittedModel fitted =
            FittedModel.open(
                engine,
                TinyProblem.BACKBONE,
                TinyProblem.train(engine, TinyProblem.training()),
                TinyProblem.training(),
                TinyProblem.BATCH);
        Dual dual = Dual.of(fitted, Progress.NONE)) {
      RidgePath path = RidgePath.of(dual, RidgePath.decades(-2, 2, 1));
      assertEquals(5, path.points().size());
      for (RidgePath.Point point : path.points()) {
        double[] alpha = Truth.TINY.alpha(Truth.all(), point.mu());
        double fit = Math.pow(point.mu() * Numbers.norm(alpha), 2) / 2 / N;
        assertEquals(fit, point.fittedLoss(), BOUND * fit, point::toString);
        double loo = 0;
        int right = 0;
        for (int i = 0; i < N; i++) {
          int[] others = Truth.without(i);
          double[] out = Truth.TINY.output(i, others, Truth.TINY.alpha(others, point.mu()));
          right += Blocks.largest(out, 0, C) == Truth.label(i) ? 1 : 0;
          out[Truth.label(i)] -= TinyProblem.SCALE;
          loo += Math.pow(Numbers.norm(out), 2) / 2 / N;
        }
        assertEquals(loo, point.looLoss(), BOUND * loo, point::toString);
        assertEquals(right / (double) N, point.looAccuracy(), point::toString);
        double freedom = freedom(point.mu());
        assertEquals(freedom, point.freedom(), BOUND * freedom, point::toString);
        double left = 1 - freedom / (N * C);
        assertEquals(fit / (left * left), point.gcv(), 1e-3 * point.gcv(), point::toString);
      }
      double least =
          path.points().stream().mapToDouble(RidgePath.Point::looLoss).min().orElseThrow();
      assertEquals(least, path.bestByLeaveOneOut().looLoss());
      assertTrue(path.points().contains(path.bestByGcv()));
      assertEquals(dual.mu(), path.points().get(2).mu(), 1e-12 * dual.mu());
    }
  }

  /** trace K(K + μI)⁻¹ = N·C − μ trace (K + μI)⁻¹, column by column. */
  private static double freedom(double mu) {
    int side = N * C;
    double trace = 0;
    double[][] kernel = new double[side][side];
    for (int i = 0; i < N; i++) {
      for (int j = 0; j < N; j++) {
        double[] block = Truth.TINY.block(i, j);
        for (int e = 0; e < C * C; e++) {
          kernel[i * C + e / C][j * C + e % C] = block[e];
        }
      }
    }
    for (int k = 0; k < side; k++) {
      double[][] system = new double[side][];
      for (int i = 0; i < side; i++) {
        system[i] = Arrays.copyOf(kernel[i], side + 1);
        system[i][i] += mu;
      }
      system[k][side] = 1;
      trace += Truth.eliminate(system)[k];
    }
    return side - mu * trace;
  }
}
