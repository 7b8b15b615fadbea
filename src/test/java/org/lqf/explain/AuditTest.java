package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.solve.ImageArray;
import org.lqf.solve.Progress;

class AuditTest {

  private static final int C = TinyProblem.CLASSES;
  private static final int N = TinyProblem.TRAIN;

  private static FittedModel open(Engine engine, ImageArray samples) throws IOException {
    return FittedModel.open(
        engine, TinyProblem.BACKBONE, TinyProblem.train(engine, samples), samples, samples.size());
  }

  private static ImageArray labelled(int[] images, int[] labels) {
    float[] pixels = TinyProblem.samples(images).images();
    return ImageArray.labelled(pixels, labels, C, TinyProblem.SCALE, images.length);
  }

  @Test
  void valuesEqualTrainingsWithoutTwoImages() throws IOException {
    try (Engine engine = Engine.open("cpu", 1);
        FittedModel fitted = open(engine, TinyProblem.training());
        Dual dual = Dual.of(fitted, Progress.NONE)) {
      double[] values = Audit.of(dual).values(Progress.NONE);
      int[] asked = {0, 7, 19};
      double[] expected = new double[asked.length];
      for (int a = 0; a < asked.length; a++) {
        for (int j : Truth.without(asked[a])) {
          expected[a] += loss(j, Truth.without(asked[a], j)) - loss(j, Truth.without(j));
        }
      }
      double[] actual = Arrays.stream(asked).mapToDouble(i -> values[i]).toArray();
      assertClose(expected, actual, 1e-3, "values");
    }
  }

  private static double loss(int x, int[] images) {
    double mu = TinyProblem.RIDGE * N;
    double[] out = Truth.TINY.output(x, images, Truth.TINY.alpha(images, mu));
    out[Truth.label(x)] -= TinyProblem.SCALE;
    return Math.pow(Numbers.norm(out), 2) / 2;
  }

  @Test
  void aPictureUnderTwoLabelsIsFound() throws IOException {
    int[] images = IntStream.concat(IntStream.range(0, N), IntStream.of(5)).toArray();
    int[] labels = Arrays.stream(images).map(Truth::label).toArray();
    labels[N] = (labels[5] + 1) % C;
    try (Engine engine = Engine.open("cpu", 1);
        FittedModel fitted = open(engine, labelled(images, labels));
        Dual dual = Dual.of(fitted, Progress.NONE)) {
      List<Audit.Pair> pairs = Audit.of(dual).contradictions(0.9999, 10);
      assertEquals(1, pairs.size(), pairs::toString);
      assertEquals(5, pairs.get(0).first());
      assertEquals(N, pairs.get(0).second());
      assertEquals(1, pairs.get(0).cosine(), 1e-6);
      assertTrue(Audit.of(dual).contradictions(-1, 7).size() == 7);
    }
  }

  @Test
  void flippedLabelsComeFirst() throws IOException {
    int[] labels = TinyProblem.TRAIN_LABELS.clone();
    boolean[] wrong = new boolean[N];
    for (int i : new int[] {2, 13, 24}) {
      wrong[i] = true;
      labels[i] = (labels[i] + 2) % C;
    }
    try (Engine engine = Engine.open("cpu", 1);
        FittedModel fitted = open(engine, labelled(Truth.all(), labels));
        Dual dual = Dual.of(fitted, Progress.NONE)) {
      Audit audit = Audit.of(dual);
      double area = Audit.areaUnderCurve(audit.suspects(), wrong);
      assertTrue(area >= 0.9, () -> "area under the curve " + area);
      LeaveOneOut loo = audit.leaveOneOut();
      assertTrue(loo.margin(audit.suspects().get(0)) <= loo.margin(audit.suspects().get(N - 1)));
      double[] values = audit.values(Progress.NONE);
      double flipped = (values[2] + values[13] + values[24]) / 3;
      assertTrue(flipped < Arrays.stream(values).average().orElseThrow(), "flipped ones harm");
    }
  }

  @Test
  void theAreaUnderTheCurveCountsPairs() {
    boolean[] wrong = {true, false, false, true};
    assertEquals(1, Audit.areaUnderCurve(List.of(0, 3, 1, 2), wrong));
    assertEquals(0, Audit.areaUnderCurve(List.of(1, 2, 0, 3), wrong));
    assertEquals(0.75, Audit.areaUnderCurve(List.of(0, 1, 3, 2), wrong));
  }
}
