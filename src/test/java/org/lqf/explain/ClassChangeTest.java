package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.lqf.engine.Numbers.assertClose;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.engine.Engine;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.ImageArray;
import org.lqf.solve.Progress;

/** A model without a class, or with one more, is the one of a training with these classes. */
class ClassChangeTest {

  private static final double DUAL_BOUND = 2e-5;
  private static final double CG_BOUND = 1e-2;

  private static final int C = TinyProblem.CLASSES;
  private static final int LAST = C - 1;

  private static Engine engine;
  private static FittedModel fitted;
  private static Dual dual;

  @BeforeAll
  static void open() throws IOException {
    engine = Engine.open("cpu", 1);
    ImageArray samples = TinyProblem.training();
    LinearisedModel model = TinyProblem.train(engine, samples);
    fitted = FittedModel.open(engine, TinyProblem.BACKBONE, model, samples, TinyProblem.BATCH);
    dual = Dual.of(fitted, Progress.NONE);
  }

  @AfterAll
  static void close() {
    dual.close();
    fitted.close();
    engine.close();
  }

  private static int[] imagesWithout(int c) {
    return Arrays.stream(Truth.all()).filter(i -> TinyProblem.TRAIN_LABELS[i] != c).toArray();
  }

  /** These images with the classes but one. */
  private static ImageArray samplesWithout(int c, int[] images) {
    ImageArray all = TinyProblem.samples(images);
    float[] targets = new float[images.length * (C - 1)];
    for (int i = 0; i < images.length; i++) {
      for (int k = 0; k < C - 1; k++) {
        targets[i * (C - 1) + k] = all.targets()[i * C + (k < c ? k : k + 1)];
      }
    }
    return new ImageArray(all.images(), targets, images.length, TinyProblem.BATCH);
  }

  private static FittedModel without(int c) {
    int[] left = imagesWithout(c);
    LinearisedModel start =
        ClassChange.without(fitted.model(), List.of(TinyProblem.LABELS.get(c)), left.length);
    return FittedModel.open(
        engine, TinyProblem.BACKBONE, start, samplesWithout(c, left), TinyProblem.BATCH);
  }

  /** The oracle's Δ without the parameters of the output that is gone, which it leaves at 0. */
  private static double[] retrainedWithout(int c) {
    int[] left = imagesWithout(c);
    int[] rows =
        Arrays.stream(left)
            .flatMap(i -> IntStream.range(0, C).filter(k -> k != c).map(k -> i * C + k))
            .toArray();
    double[] delta = Truth.TINY.deltaOfRows(rows, TinyProblem.RIDGE * left.length);
    int features = fitted.model().headWeight().length / C;
    int body = delta.length - C * features - C;
    return IntStream.range(0, delta.length)
        .filter(k -> k < body + c * features || k >= body + (c + 1) * features)
        .filter(k -> k != body + C * features + c)
        .mapToDouble(k -> delta[k])
        .toArray();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 2, LAST})
  void removingAClassEqualsTrainingWithoutIt(int c) throws IOException {
    double[] expected = retrainedWithout(c);
    int[] left = imagesWithout(c);
    List<Integer> gone = new ArrayList<>();
    for (int row = 0; row < dual.side(); row++) {
      int image = row / C;
      if (row % C == c || Arrays.binarySearch(left, image) < 0) {
        gone.add(row);
      }
    }
    int[] rows = gone.stream().mapToInt(row -> row).toArray();
    Unlearner.Scope scope =
        new Unlearner.Scope(TinyProblem.TRAIN, TinyProblem.TRAIN - left.length, 0);
    try (FittedModel after = without(c)) {
      Change byDual = Unlearner.DEFAULT.forget(after, dual, rows, scope);
      assertClose(expected, byDual.delta(), DUAL_BOUND, "dual");
      assertEquals(left.length, byDual.receipt().imagesAfter());
      Change byCg = Unlearner.DEFAULT.polish(after, scope, Progress.NONE);
      assertClose(expected, byCg.delta(), CG_BOUND, "cg");
      Change anew = Unlearner.DEFAULT.anew(after, scope, Progress.NONE);
      assertClose(expected, anew.delta(), DUAL_BOUND, "anew");
      LinearisedModel model = byDual.applyTo(after.model(), "digest");
      assertEquals(C - 1, model.labels().size());
      assertEquals(-1, model.labels().indexOf(TinyProblem.LABELS.get(c)));
    }
  }

  @Test
  void addingAClassEqualsTrainingWithIt() throws IOException {
    LinearisedModel full = fitted.model();
    int features = full.headWeight().length / C;
    float[] weight = Arrays.copyOfRange(full.headWeight(), LAST * features, C * features);
    float[] bias = {full.headBias()[LAST]};
    double[] expected =
        Truth.TINY.delta(
            Truth.all(), Truth.TINY.alpha(Truth.all(), TinyProblem.RIDGE * TinyProblem.TRAIN));
    LinearisedModel before;
    try (FittedModel small = without(LAST)) {
      Change change =
          Unlearner.DEFAULT.anew(small, new Unlearner.Scope(small.images(), 0, 0), Progress.NONE);
      before = change.applyTo(small.model(), "digest");
    }
    String label = TinyProblem.LABELS.get(LAST);
    LinearisedModel start =
        ClassChange.with(before, List.of(label), weight, bias, TinyProblem.TRAIN);
    assertArrayEquals(full.headWeight(), start.headWeight());
    assertEquals(full.labels(), start.labels());
    int old = before.fit().samples();
    Unlearner.Scope scope = new Unlearner.Scope(old, 0, TinyProblem.TRAIN - old);
    try (FittedModel after =
        FittedModel.open(
            engine, TinyProblem.BACKBONE, start, TinyProblem.training(), TinyProblem.BATCH)) {
      Change anew = Unlearner.DEFAULT.anew(after, scope, Progress.NONE);
      assertClose(expected, anew.delta(), DUAL_BOUND, "anew");
      Change byCg = Unlearner.DEFAULT.polish(after, scope, Progress.NONE);
      assertClose(expected, byCg.delta(), CG_BOUND, "cg");
    }
  }

  @Test
  void aModelOfOneClassIsRefused() {
    IllegalArgumentException error =
        assertThrows(
            IllegalArgumentException.class,
            () -> ClassChange.without(fitted.model(), TinyProblem.LABELS.subList(1, C), 6));
    assertEquals(
        "without [shirt, sneaker, bag, ankle-boot] only class sandal would be left; at least two classes are needed to tell apart",
        error.getMessage());
  }
}
