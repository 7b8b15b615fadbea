package org.lqf.baseline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.engine.Engine;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.testing.TinyData;
import org.lqf.tune.TrainingImages;

class ContestTest {

  @TempDir Path folder;

  @Test
  void lqfWithALayerDecayNearZeroMovesTheHeadAlone() throws IOException {
    TinyData.write(folder, 30, 1);
    Backbone backbone = Backbone.read(TinyData.network());
    ImageFolder train = ImageFolder.read(folder.resolve("train"));
    ImageDataset images = TrainingImages.prepare(train, backbone.input(), 1);
    Recipe recipe = new Recipe(1, 32, 2, 15, Recipe.DEFAULT_LOGIT_SCALE);
    try (Engine engine = Engine.open("cpu", 2);
        Contest contest = new Contest(engine, backbone, train.classes(), images, recipe, 0)) {
      assertArrayEquals(new double[] {1, 0.7}, contest.candidates(Method.LQF));
      double probe = contest.error(Method.PROBE, Double.NaN, images);
      double all = contest.error(Method.LQF, 1, images);
      double headAlone = contest.error(Method.LQF, 1e-12, images);
      assertTrue(all < headAlone, all + " with all layers, " + headAlone + " with the head alone");
      assertEquals(probe, headAlone, 0.05, "the head begins as the probe, which is near the best");
    }
  }
}
