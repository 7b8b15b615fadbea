package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;

import java.io.IOException;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.ImageArray;
import org.lqf.solve.Progress;

/** A changed model is the one of a training on the changed images, in double and in single. */
class UnlearnerTest {

  /** The dual route ends at rounding of Δ to single and of its passes. */
  private static final double DUAL_BOUND = 2e-5;

  /** Conjugate gradients end where the gradient of single precision does. */
  private static final double CG_BOUND = 1e-2;

  private static final int C = TinyProblem.CLASSES;
  private static final int N = TinyProblem.TRAIN;

  private static Engine engine;
  private static FittedModel fitted;
  private static Dual dual;

  @BeforeAll
  static void open() throws IOException {
    engine = Engine.open("cpu", 1);
    fitted = open(TinyProblem.training());
    dual = Dual.of(fitted, Progress.NONE);
  }

  private static FittedModel open(ImageArray samples) throws IOException {
    LinearisedModel model = TinyProblem.train(engine, samples);
    return FittedModel.open(engine, TinyProblem.BACKBONE, model, samples, TinyProblem.BATCH);
  }

  @AfterAll
  static void close() {
    dual.close();
    fitted.close();
    engine.close();
  }

  /** The first ones; images of every class are left. */
  private static int[] some(int count) {
    return IntStream.range(0, count).toArray();
  }

  private static double[] retrained(int[] images) {
    double mu = TinyProblem.RIDGE * images.length;
    return Truth.TINY.delta(images, Truth.TINY.alpha(images, mu));
  }

  private static double norm(float[] values) {
    return Numbers.norm(Numbers.widen(values));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, N / 2})
  void forgettingEqualsTrainingOnTheRest(int count) throws IOException {
    int[] removed = some(count);
    double[] expected = retrained(Truth.without(removed));
    Change byDual = Unlearner.DEFAULT.forget(fitted, dual, removed);
    assertClose(expected, byDual.delta(), DUAL_BOUND, "dual");
    Change byCg = Unlearner.DEFAULT.forget(fitted, removed, Progress.NONE);
    assertClose(expected, byCg.delta(), CG_BOUND, "cg");
    LinearisedModel again = TinyProblem.train(engine, TinyProblem.samples(Truth.without(removed)));
    assertClose(Numbers.widen(again.delta()), byDual.delta(), DUAL_BOUND, "retrained in single");
    checkReceipt(byDual, expected, "gram", N - count);
    checkReceipt(byCg, expected, "cg", N - count);
    assertTrue(
        Numbers.relativeError(expected, Numbers.widen(fitted.model().delta())) > 5 * CG_BOUND,
        "the old model must be visibly another one, or this test proves nothing");
  }

  private static void checkReceipt(Change change, double[] expected, String route, int images) {
    Receipt receipt = change.receipt();
    double[] actual = Numbers.widen(change.delta());
    double distance = Numbers.relativeError(expected, actual) * Numbers.norm(expected);
    assertTrue(distance <= receipt.certificate().distance(), receipt::toString);
    assertEquals(route, receipt.route());
    assertEquals(images, receipt.imagesAfter());
    assertEquals(norm(change.delta()), receipt.deltaNorm(), 1e-6 * receipt.deltaNorm());
    double[] moved = new double[actual.length];
    float[] old = fitted.model().delta();
    Arrays.setAll(moved, i -> actual[i] - old[i]);
    assertEquals(Numbers.norm(moved), receipt.change(), 1e-4 * receipt.change());
    LinearisedModel model = change.applyTo(fitted.model(), "digest");
    assertEquals(images, model.fit().samples());
    assertEquals("digest", model.origin().dataDigest());
    assertEquals(receipt.certificate(), model.fit().certificate());
  }

  @Test
  void learningEqualsTrainingOnAll() throws IOException {
    int[] first = IntStream.range(0, N - 4).toArray();
    double[] expected = retrained(Truth.all());
    ImageArray added = TinyProblem.samples(N - 4, N - 3, N - 2, N - 1);
    try (FittedModel before = open(TinyProblem.samples(first));
        Dual small = Dual.of(before, Progress.NONE)) {
      Change byDual = Unlearner.DEFAULT.learn(before, small, added);
      assertClose(expected, byDual.delta(), DUAL_BOUND, "dual");
      Change byCg = Unlearner.DEFAULT.learn(before, added, Progress.NONE);
      assertClose(expected, byCg.delta(), CG_BOUND, "cg");
      assertEquals(N, byDual.receipt().imagesAfter());
      assertTrue(norm(before.model().delta()) < 0.99 * norm(byDual.delta()));
    }
  }

  @Test
  void theDualRouteDoesNotNeedAnOptimalModel() throws IOException {
    LinearisedModel model = fitted.model();
    Change zero =
        new Change(
            new float[model.delta().length],
            Unlearner.DEFAULT.polish(fitted, Progress.NONE).receipt());
    try (FittedModel untrained =
        FittedModel.open(
            engine,
            TinyProblem.BACKBONE,
            zero.applyTo(model, "none"),
            TinyProblem.training(),
            TinyProblem.BATCH)) {
      Change change = Unlearner.DEFAULT.forget(untrained, dual, some(3));
      assertClose(retrained(Truth.without(some(3))), change.delta(), DUAL_BOUND, "from nothing");
    }
  }

  @Test
  void whatWouldMakeTheProblemDegenerateIsRefused() {
    int[] shirts = IntStream.range(0, N).filter(i -> TinyProblem.TRAIN_LABELS[i] == 1).toArray();
    String message = refusal(shirts);
    assertTrue(message.contains("shirt") && message.contains("class"), message);
    assertTrue(refusal(Truth.all()).contains("all"), "all images");
    assertTrue(refusal().contains("at least one"), "none");
    assertTrue(refusal(4, 7, 4).contains("twice"), "twice");
    assertThrows(
        IndexOutOfBoundsException.class,
        () -> Unlearner.DEFAULT.forget(fitted, dual, new int[] {N}));
  }

  private static String refusal(int... removed) {
    IllegalArgumentException byDual =
        assertThrows(
            IllegalArgumentException.class, () -> Unlearner.DEFAULT.forget(fitted, dual, removed));
    IllegalArgumentException byCg =
        assertThrows(
            IllegalArgumentException.class,
            () -> Unlearner.DEFAULT.forget(fitted, removed, Progress.NONE));
    assertEquals(byDual.getMessage(), byCg.getMessage());
    return String.valueOf(byDual.getMessage());
  }

  @Test
  void anotherNumberOfImagesIsRefused() {
    IllegalArgumentException error =
        assertThrows(
            IllegalArgumentException.class,
            () ->
                FittedModel.open(
                        engine,
                        TinyProblem.BACKBONE,
                        fitted.model(),
                        TinyProblem.samples(1, 2, 3),
                        TinyProblem.BATCH)
                    .close());
    assertTrue(String.valueOf(error.getMessage()).contains("fitted on " + N), error::getMessage);
    assertEquals(C, fitted.classes());
  }
}
