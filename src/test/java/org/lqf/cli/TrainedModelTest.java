package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.engine.Engine;
import org.lqf.explain.Dual;
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

  private static TrainedModel open(Engine engine, Path images) throws IOException {
    ProgressDisplay quiet = new ProgressDisplay(new PrintWriter(new StringWriter()), true);
    return TrainedModel.open(engine, model, null, images, 1, quiet);
  }

  private static String refusal(Path images) {
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
  void otherImagesAreRefused() throws IOException {
    Path copy = TinyData.write(folder, 3, 1).resolve("train");
    try (Engine engine = Engine.open("cpu", 1);
        TrainedModel elsewhere = open(engine, copy)) {
      assertEquals(15, elsewhere.images().size());
      Files.copy(copy.resolve("bag/001.png"), copy.resolve("bag/777.png"));
    }
    assertTrue(refusal(copy).contains("bag/777.png") || refusal(copy).contains("16 images"));
    Files.delete(copy.resolve("bag/777.png"));
    Files.delete(copy.resolve("bag/001.png"));
    Files.copy(copy.resolve("bag/000.png"), copy.resolve("bag/001.png"));
    assertTrue(refusal(copy).contains("give the same ones"), refusal(copy));
  }
}
