package org.lqf.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.lqf.engine.Engine;

/** The probe against ridge regression by normal equations, and its leave-one-out against refits. */
class LinearProbeTest {

  private static final int N = 30;
  private static final int WIDTH = 4;
  private static final int CLASSES = 3;

  private static final int[] LABELS = new int[N];
  private static final double[] FEATURES = new double[N * WIDTH];

  static {
    Random random = new Random(3);
    for (int i = 0; i < N; i++) {
      LABELS[i] = random.nextInt(CLASSES);
      for (int j = 0; j < WIDTH; j++) {
        FEATURES[i * WIDTH + j] = 5 + random.nextGaussian() + (j == LABELS[i] ? 1.5 : 0);
      }
    }
  }

  @Test
  void itIsRidgeRegressionWithAFreeIntercept() {
    try (Engine engine = Engine.open("reference", 1)) {
      LinearProbe probe = LinearProbe.fit(engine, FEATURES.clone(), LABELS, CLASSES);
      double[][] expected = refit(FEATURES, LABELS, absoluteRidge(probe));
      for (int c = 0; c < CLASSES; c++) {
        for (int j = 0; j < WIDTH; j++) {
          assertEquals(expected[c][j], probe.weight()[c * WIDTH + j], 1e-6);
        }
        assertEquals(expected[c][WIDTH], probe.bias()[c], 1e-5);
      }
    }
  }

  @Test
  void itsLeaveOneOutAccuracyIsThatOfRefits() {
    try (Engine engine = Engine.open("reference", 1)) {
      LinearProbe probe = LinearProbe.fit(engine, FEATURES.clone(), LABELS, CLASSES);
      double ridge = absoluteRidge(probe);
      int right = 0;
      for (int left = 0; left < N; left++) {
        double[] features = new double[(N - 1) * WIDTH];
        int[] labels = new int[N - 1];
        for (int i = 0, to = 0; i < N; i++) {
          if (i != left) {
            System.arraycopy(FEATURES, i * WIDTH, features, to * WIDTH, WIDTH);
            labels[to++] = LABELS[i];
          }
        }
        double[][] model = refit(features, labels, ridge);
        double[] scores = new double[CLASSES];
        for (int c = 0; c < CLASSES; c++) {
          scores[c] = model[c][WIDTH];
          for (int j = 0; j < WIDTH; j++) {
            scores[c] += model[c][j] * FEATURES[left * WIDTH + j];
          }
        }
        int best = 0;
        for (int c = 1; c < CLASSES; c++) {
          best = scores[c] > scores[best] ? c : best;
        }
        right += best == LABELS[left] ? 1 : 0;
      }
      assertTrue(right > N / CLASSES && right < N, "a problem that says something: " + right);
      assertEquals(right / (double) N, probe.leaveOneOutAccuracy(), 1e-12);
    }
  }

  /** The ridge of the summed loss: the relative one times N times the mean feature variance. */
  private static double absoluteRidge(LinearProbe probe) {
    double variance = 0;
    for (int j = 0; j < WIDTH; j++) {
      int column = j;
      double mean = mean(FEATURES, column, N);
      for (int i = 0; i < N; i++) {
        variance += Math.pow(FEATURES[i * WIDTH + column] - mean, 2) / N / WIDTH;
      }
    }
    return probe.ridge() * N * variance;
  }

  private static double mean(double[] features, int column, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
      sum += features[i * WIDTH + column];
    }
    return sum / n;
  }

  /** [classes][width + 1], the intercept last, by Gaussian elimination on [XᵀX + ridge, …]. */
  private static double[][] refit(double[] features, int[] labels, double ridge) {
    int n = labels.length;
    int side = WIDTH + 1;
    double[][] model = new double[CLASSES][];
    for (int c = 0; c < CLASSES; c++) {
      double[][] system = new double[side][side + 1];
      for (int i = 0; i < n; i++) {
        double[] x = Arrays.copyOfRange(features, i * WIDTH, i * WIDTH + side);
        x[WIDTH] = 1;
        for (int j = 0; j < side; j++) {
          for (int k = 0; k < side; k++) {
            system[j][k] += x[j] * x[k];
          }
          system[j][side] += labels[i] == c ? x[j] : 0;
        }
      }
      for (int j = 0; j < WIDTH; j++) {
        system[j][j] += ridge;
      }
      for (int j = 0; j < side; j++) {
        for (int i = 0; i < side; i++) {
          double factor = i == j ? 0 : system[i][j] / system[j][j];
          for (int k = 0; k <= side; k++) {
            system[i][k] -= factor * system[j][k];
          }
        }
      }
      model[c] = new double[side];
      for (int j = 0; j < side; j++) {
        model[c][j] = system[j][side] / system[j][j];
      }
    }
    return model;
  }
}
