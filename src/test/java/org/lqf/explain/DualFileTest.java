package org.lqf.explain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.engine.Engine;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Certificate;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.model.Safetensors;
import org.lqf.model.Tensor;
import org.lqf.solve.ImageArray;
import org.lqf.solve.Progress;
import org.lqf.solve.Solution;

/** The Gram inverse of a model in a file serves every later change. */
class DualFileTest {

  private static final double DUAL_BOUND = 2e-5;

  @TempDir static Path folder;
  private static Engine engine;
  private static FittedModel fitted;
  private static Dual dual;
  private static Path file;

  @BeforeAll
  static void write() throws IOException {
    engine = Engine.open("cpu", 1);
    ImageArray samples = TinyProblem.training();
    LinearisedModel model = TinyProblem.train(engine, samples);
    fitted = FittedModel.open(engine, TinyProblem.BACKBONE, model, samples, TinyProblem.BATCH);
    dual = Dual.of(fitted, Progress.NONE);
    file = folder.resolve("m.dual");
    DualFile.write(file, dual, model, images(Truth.all()));
  }

  @AfterAll
  static void close() {
    dual.close();
    fitted.close();
    engine.close();
  }

  private static List<Provenance.Image> images(int... indices) {
    List<Provenance.Image> images = new ArrayList<>();
    for (int i : indices) {
      images.add(new Provenance.Image("c/%d.png".formatted(i), "%064d".formatted(i)));
    }
    return images;
  }

  @Test
  void whatIsReadIsWhatWasWritten() throws IOException {
    try (DualFile read = DualFile.read(engine, file, fitted.model())) {
      assertEquals(images(Truth.all()), read.images());
      assertEquals(TinyProblem.LABELS, read.labels());
      assertEquals(dual.mu(), read.dual().mu());
      assertArrayEquals(dual.alpha(), read.dual().alpha());
      assertArrayEquals(dual.residual(), read.dual().residual());
      assertArrayEquals(dual.targets(), read.dual().targets());
      assertArrayEquals(dual.similarities(), read.dual().similarities());
      int[] rows = IntStream.range(0, dual.side()).toArray();
      assertArrayEquals(dual.rows(rows), read.dual().rows(rows));
      assertArrayEquals(dual.block(7), read.dual().block(7));
      try (SymmetricMatrix copy = dual.copy();
          SymmetricMatrix other = read.dual().copy()) {
        assertArrayEquals(copy.toArray(), other.toArray());
        assertArrayEquals(copy.toArray(), dual.rows(rows));
      }
      double[] x = dual.targets();
      assertArrayEquals(dual.multiply(x, 1), read.dual().multiply(x, 1));
    }
    assertTrue(
        Files.size(file) < DualFile.bytes(dual.images(), dual.classes()), "the promised size");
  }

  @Test
  void aChangedModelIsChangedAgainByTheSameFile() throws IOException {
    int[] left = Truth.without(0, 1, 2, 9);
    ImageArray samples = TinyProblem.samples(left);
    LinearisedModel start = ClassChange.none(fitted.model(), left.length);
    double mu = TinyProblem.RIDGE * left.length;
    double[] expected = Truth.TINY.delta(left, Truth.TINY.alpha(left, mu));
    try (DualFile read = DualFile.read(engine, file, start);
        FittedModel after =
            FittedModel.open(engine, TinyProblem.BACKBONE, start, samples, TinyProblem.BATCH)) {
      int[] rows = read.rowsWithout(images(left), TinyProblem.LABELS);
      assertNotNull(rows);
      assertEquals(4 * TinyProblem.CLASSES, rows.length);
      Unlearner.Scope scope = new Unlearner.Scope(TinyProblem.TRAIN - 3, 1, 0);
      Change change = Unlearner.DEFAULT.forget(after, read.dual(), rows, scope);
      assertClose(expected, change.delta(), DUAL_BOUND, "dual");
      assertEquals(TinyProblem.TRAIN - 3, change.receipt().imagesBefore());
      IllegalArgumentException tooFew =
          assertThrows(
              IllegalArgumentException.class,
              () -> Unlearner.DEFAULT.forget(after, read.dual(), Arrays.copyOf(rows, 5), scope));
      assertTrue(String.valueOf(tooFew.getMessage()).startsWith("5 of 150 rows"));
    }
  }

  @Test
  void productsOfAnyWidthAreThoseOfTheRows() {
    int side = dual.side();
    double[] rows = dual.rows(IntStream.range(0, side).toArray());
    for (int columns : new int[] {1, 2, 70}) {
      double[] x = new Random(columns).doubles((long) side * columns, -1, 1).toArray();
      double[] expected = new double[x.length];
      for (int i = 0; i < side; i++) {
        for (int k = 0; k < side; k++) {
          for (int c = 0; c < columns; c++) {
            expected[i * columns + c] += rows[i * side + k] * x[k * columns + c];
          }
        }
      }
      assertArrayEquals(expected, dual.multiply(x, columns), 1e-12 * norm(expected));
    }
  }

  private static double norm(double[] values) {
    return Math.sqrt(Arrays.stream(values).map(v -> v * v).sum());
  }

  @Test
  void otherImagesOrAnotherOrderAreSeen() throws IOException {
    try (DualFile read = DualFile.read(engine, file, fitted.model())) {
      assertNull(read.rowsWithout(images(3, 2), TinyProblem.LABELS));
      assertNull(read.rowsWithout(images(2, 99), TinyProblem.LABELS));
      int[] rows = read.rowsWithout(images(Truth.all()), TinyProblem.LABELS.subList(0, 4));
      assertNotNull(rows);
      assertEquals(TinyProblem.TRAIN, rows.length);
      assertEquals(9, rows[1]);
    }
  }

  @Test
  void anotherLinearisationPointIsRefused() {
    LinearisedModel model = fitted.model();
    float[] weight = model.headWeight();
    weight[3] += 1;
    LinearisedModel otherHead = ClassChange.withHead(model, weight, model.headBias());
    assertTrue(refusal(otherHead).contains("another head: that of class sandal"));
    LinearisedModel otherRidge =
        TinyProblem.model(
            TinyProblem.TRAIN,
            model.delta(),
            new Solution(1, new Certificate(1, 1, 2 * TinyProblem.RIDGE), true, List.of()),
            TinyProblem.allLayers());
    assertTrue(refusal(otherRidge).contains("another ridge (0.02, the model has 0.04)"));
  }

  @Test
  void aTileOfOtherNumbersIsDamage() throws IOException {
    Safetensors whole = Safetensors.read(file);
    Map<String, Tensor> tensors = new TreeMap<>(whole.tensors());
    Tensor tile = tensors.get("inverse.00000");
    assertNotNull(tile);
    long[] shape = tile.shape().stream().mapToLong(extent -> extent).toArray();
    tensors.put("inverse.00000", Tensor.of(tile.floats(), shape));
    Path damaged = folder.resolve("damaged.dual");
    new Safetensors(whole.metadata(), tensors).write(damaged);
    String message =
        String.valueOf(
            assertThrows(
                    IOException.class, () -> DualFile.read(engine, damaged, fitted.model()).close())
                .getMessage());
    assertTrue(message.contains("is damaged: tile inverse.00000 is F32"), message);
  }

  private static String refusal(LinearisedModel model) {
    return String.valueOf(
        assertThrows(IOException.class, () -> DualFile.read(engine, file, model).close())
            .getMessage());
  }
}
