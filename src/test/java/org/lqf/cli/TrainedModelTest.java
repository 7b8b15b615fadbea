package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.engine.Engine;
import org.lqf.explain.Dual;
import org.lqf.model.LinearisedModel;
import org.lqf.testing.TinyData;

/** A model opens with the images it was trained on, and with no others. */
class TrainedModelTest {

  @TempDir static Path shared;
  static Path data;
  static Path model;

  @TempDir Path folder;

  @BeforeAll
  static void tune() throws IOException {
    data = TinyData.write(shared.resolve("data"), 3, 1);
    model = shared.resolve("tiny.lqf");
    Cli.tune(data, "--out", model).succeeded();
  }

  private static TrainedModel open(Engine engine, Path... images) throws IOException {
    ProgressDisplay quiet = new ProgressDisplay(new PrintWriter(new StringWriter()), true);
    return TrainedModel.open(engine, model, null, List.of(images), 1, quiet);
  }

  private static String refusal(Path... images) {
    try (Engine engine = Engine.open("cpu", 1)) {
      return String.valueOf(
          assertThrows(IOException.class, () -> open(engine, images)).getMessage());
    }
  }

  @Test
  void imagesAreThoseOfTheTraining() throws IOException {
    try (Engine engine = Engine.open("cpu", 1);
        TrainedModel trained = open(engine, data)) {
      assertEquals(15, trained.fitted().images());
      assertEquals("ankle-boot/000.png", trained.images().images().get(0).relativeName());
      assertTrue(trained.dualFits());
      Dual dual = trained.dual();
      assertEquals(trained.fitted().mu(), dual.mu());
      double[] alpha = trained.fitted().alpha();
      double largest = 0;
      for (double value : alpha) {
        largest = Math.max(largest, Math.abs(value));
      }
      for (int i = 0; i < alpha.length; i++) {
        assertEquals(dual.alpha()[i], alpha[i], 1e-3 * largest, "the model is the dual's optimum");
      }
    }
  }

  @Test
  void imagesAreFoundAmongOthersAndInSeveralPlaces() throws IOException {
    Path copy = TinyData.write(folder, 3, 1).resolve("train");
    Files.copy(copy.resolve("bag/001.png"), copy.resolve("bag/777.png"));
    Files.createDirectories(folder.resolve("more/bag"));
    Files.move(copy.resolve("bag/002.png"), folder.resolve("more/bag/002.png"));
    try (Engine engine = Engine.open("cpu", 1);
        TrainedModel trained = open(engine, copy, folder.resolve("more"))) {
      assertEquals(15, trained.images().size());
      assertEquals("bag/002.png", trained.images().images().get(5).relativeName());
      assertEquals(1, trained.images().images().get(5).label());
    }
    assertEquals(
        "bag/002.png is not in [%s], but the model was trained on it; give the same images, several times --data where they are in several places"
            .formatted(copy),
        refusal(copy));
    assertTrue(refusal(copy, copy).contains("in two places"), refusal(copy, copy));
  }

  @Test
  void anotherFileOfTheSameNameIsRefused() throws IOException {
    Path copy = TinyData.write(folder, 3, 1).resolve("train");
    Files.delete(copy.resolve("bag/001.png"));
    Files.copy(copy.resolve("bag/000.png"), copy.resolve("bag/001.png"));
    String message = refusal(copy);
    assertTrue(message.startsWith(copy + "/bag/001.png is not the file that the model"), message);
  }

  @Test
  void aModelThatDoesNotNameItsImagesTellsByTheirDigest() throws IOException {
    LinearisedModel named = LinearisedModel.read(model);
    Path unnamed = folder.resolve("unnamed.lqf");
    new LinearisedModel(
            named.origin(),
            named.input(),
            named.labels(),
            named.headWeight(),
            named.headBias(),
            named.linearised(),
            named.delta(),
            named.fit())
        .write(unnamed);
    ArrayList<String> notes = new ArrayList<>();
    LinearisedModel read = LinearisedModel.read(unnamed);
    assertEquals(15, ModelImages.find(read, List.of(data), notes).size());
    Path copy = TinyData.write(folder, 3, 1).resolve("train");
    Files.delete(copy.resolve("bag/001.png"));
    IOException fewer =
        assertThrows(IOException.class, () -> ModelImages.find(read, List.of(copy), notes));
    assertTrue(String.valueOf(fewer.getMessage()).contains("has 14 images"), fewer::getMessage);
    Files.copy(copy.resolve("bag/000.png"), copy.resolve("bag/001.png"));
    IOException other =
        assertThrows(IOException.class, () -> ModelImages.find(read, List.of(copy), notes));
    assertTrue(String.valueOf(other.getMessage()).contains("but other ones"), other::getMessage);
  }
}
