package org.lqf.predict;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;
import org.lqf.model.Certificate;
import org.lqf.model.LayerUnits;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Resnets;

class ClassifierTest {

  private static final int SIZE = 12; // pixels
  private static final int LENGTH = 3 * SIZE * SIZE;
  private static final float TARGET_SCALE = 4;

  private static final Backbone BACKBONE = Resnets.cifar(8, 0.1f, 10, 1).withInputSize(SIZE, SIZE);
  private static final LinearisedModel MODEL = model(BACKBONE);

  private static Engine engine;

  @BeforeAll
  static void openEngine() {
    engine = Engine.open("auto", 2);
  }

  @AfterAll
  static void closeEngine() {
    engine.close();
  }

  @Test
  void scoresAreTheLinearModelDividedByTheTargetScale() {
    float[] images = images(3, 7);
    float[] scores = new float[9];
    try (Classifier classifier = Classifier.open(engine, BACKBONE, MODEL)) {
      classifier.scores(images, 3, scores);
    }
    float[] expected;
    try (Plan plan = engine.compile(MODEL.attach(BACKBONE), 3);
        DeviceVector delta = engine.vector(MODEL.delta());
        DeviceVector base = engine.vector(9);
        DeviceVector tangent = engine.vector(9)) {
      plan.forward(images, 3);
      plan.outputs(base);
      plan.jvp(delta, tangent);
      expected = base.add(1, tangent).scale(1 / TARGET_SCALE).toArray();
    }
    for (int i = 0; i < 9; i++) {
      assertEquals(expected[i], scores[i], 1e-5f * Math.max(1, Math.abs(expected[i])));
    }
  }

  @Test
  void anImageScoresTheSameBitsAloneAndInABatch() {
    List<BufferedImage> pictures = List.of(picture(1), picture(2), picture(3), picture(4));
    try (Classifier classifier = Classifier.open(engine, BACKBONE, MODEL, 3)) {
      List<Prediction> together = classifier.classify(pictures); // batches of 3 and 1
      List<Prediction> alone = new ArrayList<>();
      pictures.forEach(picture -> alone.add(classifier.classify(picture)));
      assertEquals(alone, together);
    }
  }

  @Test
  void aPictureIsPreparedAsTheModelSays() {
    try (Classifier classifier = Classifier.open(engine, BACKBONE, MODEL)) {
      float[] prepared = new float[LENGTH];
      classifier.prepare(picture(5), prepared, 0);
      assertEquals(classifier.classify(prepared), classifier.classify(picture(5)));
    }
  }

  @Test
  void knowsLabelsAndInput() {
    try (Classifier classifier = Classifier.open(engine, BACKBONE, MODEL)) {
      assertEquals(List.of("a", "b", "c"), classifier.labels());
      assertEquals(LENGTH, classifier.imageLength());
      assertEquals(SIZE, classifier.input().height());
    }
  }

  @Test
  void acceptsTheBackboneAtAnotherInputSize() {
    Classifier.open(engine, BACKBONE.withInputSize(32, 32), MODEL).close();
  }

  @Test
  void refusesAnotherBackboneAndNamesBothDigests() {
    Backbone other = Resnets.cifar(8, 0.1f, 10, 2).withInputSize(SIZE, SIZE);
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> Classifier.open(engine, other, MODEL));
    assertTrue(e.getMessage().contains(other.digest()), e.getMessage());
    assertTrue(e.getMessage().contains(BACKBONE.digest()), e.getMessage());
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
  void refusesAnInputThatIsNotFiniteAndSaysWhere(float bad) {
    float[] images = images(2, 7);
    images[LENGTH + 5] = bad;
    try (Classifier classifier = Classifier.open(engine, BACKBONE, MODEL)) {
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> classifier.scores(images, 2, new float[6]));
      assertTrue(e.getMessage().startsWith("image 1: value 5 of "), e.getMessage());
    }
  }

  @Test
  void refusesLengthsThatDoNotFit() {
    try (Classifier classifier = Classifier.open(engine, BACKBONE, MODEL, 2)) {
      float[] two = images(2, 7);
      float[] scores = new float[6];
      assertThrows(IllegalArgumentException.class, () -> classifier.classify(two));
      assertThrows(IllegalArgumentException.class, () -> classifier.classify(new float[0]));
      assertThrows(IllegalArgumentException.class, () -> classifier.scores(two, 0, scores));
      assertThrows(IllegalArgumentException.class, () -> classifier.scores(two, 3, scores));
      assertThrows(
          IllegalArgumentException.class, () -> classifier.scores(images(1, 7), 2, scores));
      assertThrows(IllegalArgumentException.class, () -> classifier.scores(two, 2, new float[5]));
    }
  }

  @Test
  void manyThreadsGetWhatOneThreadGets() throws Exception {
    int threads = 8;
    int calls = 20;
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try (Classifier classifier = Classifier.open(engine, BACKBONE, MODEL)) {
      List<float[]> expected = new ArrayList<>();
      for (int t = 0; t < threads; t++) {
        float[] scores = new float[6];
        classifier.scores(images(2, t), 2, scores);
        expected.add(scores);
      }
      List<Callable<Void>> work = new ArrayList<>();
      for (int t = 0; t < threads; t++) {
        int seed = t;
        work.add(
            () -> {
              float[] images = images(2, seed);
              float[] scores = new float[6];
              for (int call = 0; call < calls; call++) {
                classifier.scores(images, 2, scores);
                assertArrayEquals(expected.get(seed), scores);
              }
              return null;
            });
      }
      for (Future<Void> done : pool.invokeAll(work)) {
        done.get();
      }
    } finally {
      pool.shutdownNow();
    }
  }

  @Test
  void closingWhileOthersRunEndsTheirCallsCleanly() throws Exception {
    int threads = 4;
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      Classifier classifier = Classifier.open(engine, BACKBONE, MODEL);
      CountDownLatch running = new CountDownLatch(threads);
      List<Future<Integer>> answered = new ArrayList<>();
      for (int t = 0; t < threads; t++) {
        int seed = t;
        answered.add(
            pool.submit(
                () -> {
                  float[] image = images(1, seed);
                  for (int calls = 0; ; calls++) {
                    try {
                      assertEquals(3, classifier.classify(image).ranked().size());
                    } catch (IllegalStateException closed) {
                      return calls;
                    }
                    if (calls == 0) {
                      running.countDown();
                    }
                  }
                }));
      }
      running.await();
      classifier.close();
      for (Future<Integer> calls : answered) {
        assertTrue(calls.get() > 0);
      }
    } finally {
      pool.shutdownNow();
    }
  }

  @Test
  void aClosedClassifierSaysSoAndMayBeClosedAgain() {
    Classifier classifier = Classifier.open(engine, BACKBONE, MODEL);
    classifier.close();
    classifier.close();
    IllegalStateException e =
        assertThrows(IllegalStateException.class, () -> classifier.classify(images(1, 1)));
    assertEquals("this classifier is closed", e.getMessage());
  }

  @Test
  void itsMemoryStaysFlatAndIsGivenBack() {
    float[] image = images(1, 1);
    try (Engine own = Engine.open("auto", 1)) {
      openUseClose(own, image); // the engine keeps the scratch of its threads
      long before = own.memoryBytes();
      try (Classifier classifier = Classifier.open(own, BACKBONE, MODEL)) {
        classifier.classify(image);
        long open = own.memoryBytes();
        assertTrue(open > before);
        for (int call = 0; call < 100; call++) {
          classifier.classify(image);
        }
        assertEquals(open, own.memoryBytes());
      }
      assertEquals(before, own.memoryBytes());
    }
  }

  private static void openUseClose(Engine own, float[] image) {
    try (Classifier classifier = Classifier.open(own, BACKBONE, MODEL)) {
      assertEquals(3, classifier.classify(image).ranked().size());
    }
  }

  static LinearisedModel model(Backbone backbone) {
    Random random = new Random(3);
    int features = backbone.shapes().get(backbone.featureNode()).channels();
    float[] headWeight = normal(random, 3 * features, 0.3f);
    float[] headBias = normal(random, 3, 1);
    List<String> labels = List.of("a", "b", "c");
    Backbone headed = backbone.withHead(headWeight, headBias, labels);
    return new LinearisedModel(
        new LinearisedModel.Origin(backbone.name(), backbone.digest(), "", "00", "test"),
        backbone.input(),
        labels,
        headWeight,
        headBias,
        LayerUnits.ones(headed.blocks().stream().map(block -> block.node()).toList()),
        normal(random, (int) headed.parameters(), 0.01f),
        new LinearisedModel.Fit("cg", 0, 10, 5, TARGET_SCALE, new Certificate(1, 0.01, 0.1)));
  }

  private static float[] images(int n, long seed) {
    return normal(new Random(seed), n * LENGTH, 1);
  }

  private static float[] normal(Random random, int length, float deviation) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextGaussian() * deviation;
    }
    return values;
  }

  /** Coloured rectangles, larger than the network's input. */
  private static BufferedImage picture(int seed) {
    Random random = new Random(seed);
    BufferedImage image = new BufferedImage(40, 30, BufferedImage.TYPE_INT_RGB);
    Graphics2D g = image.createGraphics();
    for (int i = 0; i < 20; i++) {
      g.setColor(new Color(random.nextInt(1 << 24)));
      g.fillRect(random.nextInt(40), random.nextInt(30), random.nextInt(20), random.nextInt(20));
    }
    g.dispose();
    return image;
  }
}
