package org.lqf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.lqf.model.LayerTest.refuses;

import java.util.Random;
import org.junit.jupiter.api.Test;

class AffineTest {

  @Test
  void foldIsWorkedOutByHand() {
    // σ = √(3.75 + 0.25) = 2 and √(15.75 + 0.25) = 4; γ/σ = 3 and −0.5
    Affine before = new Affine(new double[] {1, 2, 3, 4}, new double[] {10, 20});
    double[] gamma = {6, -2};
    double[] beta = {0.5, 7};
    double[] mean = {9, 22};
    double[] variance = {3.75, 15.75};
    Affine folded = before.fold(gamma, beta, mean, variance, 0.25);
    assertArrayEquals(new double[] {3, 6, -1.5, -2}, folded.weight());
    assertArrayEquals(new double[] {0.5 + 3 * (10 - 9), 7 - 0.5 * (20 - 22)}, folded.bias());
  }

  @Test
  void foldedEqualsUnfoldedForRandomInputs() {
    Random random = new Random(1);
    int out = 5;
    int in = 7;
    double[] h = normal(in, random);
    Affine before = new Affine(normal(out * in, random), normal(out, random));
    double[] gamma = normal(out, random);
    double[] beta = normal(out, random);
    double[] mean = normal(out, random);
    double[] variance = random.doubles(out, 0.01, 4).toArray();
    Affine folded = before.fold(gamma, beta, mean, variance, 1e-5);
    for (int o = 0; o < out; o++) {
      double unfolded =
          gamma[o] * (row(before, o, h) - mean[o]) / Math.sqrt(variance[o] + 1e-5) + beta[o];
      assertEquals(unfolded, row(folded, o, h), 1e-12 * Math.max(1, Math.abs(unfolded)));
    }
  }

  @Test
  void refusesAVarianceThatHasNoRoot() {
    Affine before = new Affine(new double[] {1, 1}, new double[] {0, 0});
    double[] two = {1, 1};
    refuses(() -> before.fold(two, two, two, new double[] {1, -1}, 1e-5), "channel 1", "-1.0");
    refuses(() -> before.fold(two, two, two, new double[] {0, 1}, 0), "channel 0", "eps 0.0");
    refuses(() -> before.fold(two, two, two, new double[] {1, Double.NaN}, 1e-5), "NaN");
  }

  private static double[] normal(int length, Random random) {
    return random.doubles(length).map(u -> random.nextGaussian()).toArray();
  }

  private static double row(Affine affine, int o, double[] h) {
    double sum = affine.bias()[o];
    for (int i = 0; i < h.length; i++) {
      sum += affine.weight()[o * h.length + i] * h[i];
    }
    return sum;
  }
}
