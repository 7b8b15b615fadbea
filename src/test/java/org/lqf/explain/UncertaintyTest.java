package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.solve.ImageArray;
import org.lqf.solve.LeastSquares;
import org.lqf.solve.Progress;

class UncertaintyTest {

  private static final double BOUND = 1e-4;
  private static final int C = TinyProblem.CLASSES;
  private static final int N = TinyProblem.TRAIN;
  private static final int TEST = TinyProblem.TEST;

  private static Engine engine;
  private static FittedModel fitted;
  private static Dual dual;
  private static double[] covariances; // [TEST, C, C]

  @BeforeAll
  static void open() throws IOException {
    engine = Engine.open("cpu", 1);
    fitted = open(TinyProblem.allLayers());
    dual = Dual.of(fitted, Progress.NONE);
    covariances = covariances(fitted, dual);
  }

  private static FittedModel open(Set<String> layers) throws IOException {
    ImageArray training = TinyProblem.training();
    return FittedModel.open(
        engine,
        TinyProblem.BACKBONE,
        TinyProblem.train(engine, training, TinyProblem.RIDGE, layers),
        training,
        TinyProblem.BATCH);
  }

  private static double[] covariances(FittedModel of, Dual with) throws IOException {
    double[] all = new double[TEST * C * C];
    ImageArray test = ImageArray.unlabelled(TinyProblem.TEST_IMAGES, TEST, C, 2);
    CrossKernel.forEach(
        of,
        test,
        (first, n, cross, own) -> {
          double[] some = Uncertainty.covariances(with, cross, own);
          System.arraycopy(some, 0, all, first * C * C, some.length);
        });
    return all;
  }

  @AfterAll
  static void close() {
    dual.close();
    fitted.close();
    engine.close();
  }

  private static double[] block(double[] all, int index) {
    return Arrays.copyOfRange(all, index * C * C, (index + 1) * C * C);
  }

  /** 1/μ (k(x, x) − k(x, X)(K + μI)⁻¹k(X, x)) in double, by elimination. */
  private static double[] truth(int x, int[] images, double mu) {
    double[] covariance = Truth.TINY.block(x, x);
    int side = images.length * C;
    for (int d = 0; d < C; d++) {
      double[][] system = new double[side][side + 1];
      for (int i = 0; i < images.length; i++) {
        for (int j = 0; j < images.length; j++) {
          double[] k = Truth.TINY.block(images[i], images[j]);
          for (int e = 0; e < C * C; e++) {
            system[i * C + e / C][j * C + e % C] = k[e];
          }
        }
        for (int c = 0; c < C; c++) {
          system[i * C + c][i * C + c] += mu;
          system[i * C + c][side] = Truth.TINY.block(x, images[i])[d * C + c];
        }
      }
      double[] solved = Truth.eliminate(system);
      for (int c = 0; c < C; c++) {
        for (int k = 0; k < side; k++) {
          covariance[c * C + d] -= Truth.TINY.block(x, images[k / C])[c * C + k % C] * solved[k];
        }
      }
    }
    for (int e = 0; e < C * C; e++) {
      covariance[e] /= mu;
    }
    return covariance;
  }

  @Test
  void theDualCovarianceIsTheOracles() {
    for (int t = 0; t < TEST; t++) {
      double[] expected = truth(N + t, Truth.all(), dual.mu());
      assertClose(expected, block(covariances, t), BOUND, "image " + t);
    }
  }

  /** J(x)(JᵀJ + μI)⁻¹J(x)ᵀ needs no kernel. */
  @Test
  void primalEqualsDual() throws IOException {
    int length = TinyProblem.NETWORK.w0().length;
    double[] primal = new double[C * C];
    try (LeastSquares problem =
            new LeastSquares(engine, fitted.plan(), fitted.samples(), fitted.ridge());
        DeviceVector right = engine.vector(length);
        DeviceVector row = engine.vector(length);
        DeviceVector solved = engine.vector(length)) {
      double[][] rows = Truth.TINY.jacobian(N);
      for (int c = 0; c < C; c++) {
        NormalEquations.solve(problem, write(right, rows[c]), solved.fill(0), 1e-5, 500);
        for (int d = 0; d < C; d++) {
          primal[c * C + d] = write(row, rows[d]).dot(solved) / N;
        }
      }
    }
    assertClose(block(covariances, 0), primal, 2e-3, "primal");
  }

  private static DeviceVector write(DeviceVector to, double[] values) {
    float[] single = new float[values.length];
    for (int i = 0; i < single.length; i++) {
      single[i] = (float) values[i];
    }
    return to.write(single);
  }

  @Test
  void leaveOneOutCovarianceIsThatOfTheOthers() {
    double[] loo = Uncertainty.leaveOneOut(dual);
    for (int i = 0; i < 4; i++) {
      double[] expected = truth(i, Truth.without(i), dual.mu());
      assertClose(expected, block(loo, i), BOUND, "image " + i);
    }
  }

  @Test
  void noiseMakesTheErrorsAsLargeAsPredicted() {
    LeaveOneOut loo = LeaveOneOut.of(dual);
    double noise = Uncertainty.noise(dual, loo);
    double[] covariances = Uncertainty.leaveOneOut(dual);
    double sum = 0; // of squared errors, each in units of its predicted covariance
    for (int i = 0; i < N; i++) {
      double[] predicted = block(covariances, i);
      for (int c = 0; c < C; c++) {
        predicted[c * C + c] += 1;
      }
      double[] error = Arrays.copyOfRange(loo.errors(), i * C, (i + 1) * C);
      double[] solved = error.clone();
      Blocks.solve(predicted, C, solved, 1);
      sum += Numbers.dot(error, solved) / noise;
    }
    assertEquals(1, sum / (N * C), 1e-9);
  }

  @Test
  void kroneckerIsExactForTheLastLayerAndLikeTheTruthForAll() throws IOException {
    try (FittedModel head = open(Set.of("head"));
        Dual small = Dual.of(head, Progress.NONE);
        KroneckerPosterior exact = KroneckerPosterior.of(head);
        KroneckerPosterior rough = KroneckerPosterior.of(fitted)) {
      double[] expected = covariances(head, small);
      for (int t = 0; t < TEST; t++) {
        float[] image = TinyProblem.testImage(t);
        double[] own = exact.covariance(image);
        for (int e = 0; e < C * C; e++) { // the classes are independent: off the diagonal 0
          assertEquals(block(expected, t)[e], own[e], 1e-3 * own[0], "head alone");
        }
        double[] approximate = rough.covariance(image);
        double[] truth = block(covariances, t);
        for (int c = 0; c < C; c++) {
          double ratio = approximate[c * C + c] / truth[c * C + c];
          assertTrue(ratio > 0.2 && ratio < 5, "class %d: ratio %.3g".formatted(c, ratio));
        }
      }
    }
  }

  @Test
  void answersCarryTheCovariancesOfTheirPosterior() throws IOException {
    ImageArray test = ImageArray.unlabelled(TinyProblem.TEST_IMAGES, TEST, C, 2);
    List<Integer> heard = new ArrayList<>();
    Answers answers =
        Answers.of(
            fitted, new GramPosterior(fitted, dual), test, step -> heard.add(step.iteration()));
    assertEquals(List.of(2, 4, 5), heard);
    assertClose(covariances, answers.covariances(), 1e-6, "covariances");
    assertClose(fitted.outputs(TinyProblem.TEST_IMAGES, TEST), answers.outputs(), 1e-6, "outputs");
    double noise = 0.3;
    for (int t = 0; t < TEST; t++) {
      double[] output = answers.output(t);
      int best = Blocks.largest(output, 0, C);
      assertEquals(best, answers.answer(t));
      double variance = block(covariances, t)[best * C + best];
      assertEquals(Math.sqrt(noise * variance), answers.deviation(t, noise), 1e-5);
      assertEquals(
          Uncertainty.separation(output, covariances, t, noise),
          answers.separations(noise)[t],
          1e-5);
    }
    try (Posterior rough = KroneckerPosterior.of(fitted)) {
      Answers others = Answers.of(fitted, rough, test, Progress.NONE);
      assertClose(answers.outputs(), others.outputs(), 1e-6, "the outputs are not approximate");
      assertTrue(Numbers.relativeError(answers.covariances(), others.covariances()) > 1e-3);
    }
  }

  @Test
  void leaveOneOutAnswersCalibrateWithoutHeldOutImages() {
    LeaveOneOut loo = LeaveOneOut.of(dual);
    Answers answers = Answers.leaveOneOut(dual, loo);
    for (int i = 0; i < N; i++) {
      assertClose(loo.outputs(i), answers.output(i), 1e-12, "image " + i);
    }
    double noise = Uncertainty.noise(dual, loo);
    assertEquals(noise, answers.noise(dual.targets()), 1e-6 * noise);
    int[] labels = dual.labels();
    Calibration calibration = Calibration.fit(answers, labels, TinyProblem.SCALE);
    assertEquals(noise, calibration.noise(), 1e-6 * noise);
    double[] confidences = calibration.confidences(answers);
    boolean[] right = answers.right(labels);
    int rights = 0;
    for (int i = 0; i < N; i++) {
      assertEquals(loo.predicted(i) == labels[i], right[i]);
      assertTrue(confidences[i] >= 0.5 && confidences[i] <= 1);
      rights += right[i] ? 1 : 0;
    }
    assertEquals(loo.accuracy(), rights / (double) N, 1e-12);
    assertThrows(
        IllegalArgumentException.class, () -> new Answers(C, new double[C], new double[C]));
  }

  @Test
  void separationCountsStandardDeviations() {
    double[] covariance = {3, 1, 0, 1, 4, 0, 0, 0, 9};
    // 3 + 4 − 2·1 for the difference, 2 for the noise of two targets, all times σ² = 4
    double expected = (5 - 2) / Math.sqrt(4 * (5 + 2));
    double[] outputs = {2, 5, -1};
    assertEquals(expected, Uncertainty.separation(outputs, covariance, 0, 4), 1e-12);
  }

  @Test
  void theNormalDistributionIsThatOfTheTables() {
    assertEquals(0.5, Confidence.normal(0));
    assertEquals(0.841344746068543, Confidence.normal(1), 1e-14);
    assertEquals(0.998650101968370, Confidence.normal(3), 1e-14);
    assertEquals(2.866515718791939e-7, Confidence.normal(-5), 1e-19);
    assertEquals(2.866515718791939e-7, Confidence.normal(Math.nextUp(-5.0)), 1e-15);
  }

  @Test
  void confidenceFindsItsTemperature() {
    SplittableRandom random = new SplittableRandom(11);
    double[] separations = new double[20_000];
    boolean[] right = new boolean[separations.length];
    for (int i = 0; i < right.length; i++) {
      separations[i] = 6 * random.nextDouble();
      right[i] = random.nextDouble() < Confidence.normal(separations[i] / 2.5);
    }
    Confidence confidence = Confidence.fit(separations, right);
    assertEquals(2.5, confidence.temperature(), 0.1);
    assertTrue(confidence.calibrationError(separations, right, 10) < 0.015);
    assertTrue(new Confidence(0.5).calibrationError(separations, right, 10) > 0.05);
    assertThrows(IllegalArgumentException.class, () -> Confidence.fit(new double[0], right));
  }

  @Test
  void rejectingTheLeastSureRaisesAccuracy() {
    double[] separations = {3, 0.1, 2, 0.5};
    boolean[] right = {true, false, true, false};
    RejectCurve curve = RejectCurve.of(separations, right);
    assertEquals(new RejectCurve.Point(1, 0.5, 0.1), curve.points().get(0));
    assertEquals(new RejectCurve.Point(0.5, 1, 2), curve.at(0.5));
    assertEquals((0.5 + 2 / 3.0 + 1 + 1) / 4, curve.area(), 1e-12);
  }
}
