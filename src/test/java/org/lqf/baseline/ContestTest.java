package org.lqf.baseline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

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
  void lqfEarlyStopsOnItsWayToTheOptimumOfLqf() throws IOException {
    TinyData.write(folder, 3, 20);
    Backbone backbone = Backbone.read(TinyData.network());
    ImageFolder train = ImageFolder.read(folder.resolve("train"));
    ImageFolder test = ImageFolder.readLike(folder.resolve("test"), train.classes());
    ImageDataset tested = TrainingImages.prepare(test, backbone.input(), 1);
    Recipe recipe = new Recipe(1, 32, 2, 15, Recipe.DEFAULT_LOGIT_SCALE);
    try (Engine engine = Engine.open("cpu", 2);
        Contest contest =
            new Contest(
                engine,
                backbone,
                train.classes(),
                TrainingImages.prepare(train, backbone.input(), 1),
                recipe,
                0)) {
      assertArrayEquals(new double[] {1, 0.7}, contest.candidates(Method.LQF));
      double optimum = contest.error(Method.LQF, 1, tested);
      double late = contest.error(Method.LQF_EARLY, 2000, tested);
      assertEquals(optimum, late, 1.0 / tested.size()); // one image at the border of two classes
      double first = contest.error(Method.LQF_EARLY, 1, tested);
      assertNotEquals(late, first, 0.02);
      assertArrayEquals(new double[] {16, 8}, contest.candidates(Method.LQF_EARLY));
    }
  }
}
