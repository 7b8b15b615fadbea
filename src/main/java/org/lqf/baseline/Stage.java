package org.lqf.baseline;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.lqf.engine.Engine;
import org.lqf.image.ImageDataset;
import org.lqf.model.Backbone;
import org.lqf.tune.TrainingImages;
import org.lqf.tune.TrainingListener;

/** A network and the images of a data set, prepared for it and held in memory. */
record Stage(
    Engine engine,
    Backbone backbone,
    List<String> classes,
    ImageDataset train,
    ImageDataset test,
    Recipe recipe) {

  /** A hyper-parameter and the validation error that it had. */
  private record Choice(double setting, double validationError) {}

  static Stage of(
      Engine engine, Backbone sized, Comparison.Images images, Recipe recipe, int readers)
      throws IOException {
    return new Stage(
        engine,
        sized,
        images.train().classes(),
        TrainingImages.prepare(images.train(), sized.input(), readers),
        TrainingImages.prepare(images.test(), sized.input(), readers),
        recipe);
  }

  /**
   * Runs some methods with one draw of training images.
   *
   * @param cells that differ in their method only
   * @param file is added to; where it has no run of a cell yet, the hyper-parameter is searched
   */
  void run(List<Run.Cell> cells, long seed, RunFile file, TrainingListener listener)
      throws IOException {
    int shots = cells.get(0).shots();
    Shots draw = Shots.draw(train.labels(), classes.size(), shots, seed);
    try (Contest contest = contest(draw.train(), seed)) {
      for (Run.Cell cell : cells) {
        Choice choice;
        List<Run> earlier = file.runs(cell);
        if (!earlier.isEmpty()) {
          choice = new Choice(earlier.get(0).setting(), earlier.get(0).validationError());
        } else if (Arrays.equals(draw.search(), draw.train())) {
          choice = search(contest, cell, draw, listener);
        } else {
          try (Contest smaller = contest(draw.search(), seed)) {
            choice = search(smaller, cell, draw, listener);
          }
        }
        listener.phase("%s, seed %d".formatted(text(cell), seed));
        long start = System.nanoTime();
        double error = error(contest, cell, choice.setting);
        double seconds = (System.nanoTime() - start) / 1e9;
        file.add(new Run(cell, seed, choice.setting, choice.validationError, error, seconds));
        listener.note(
            "%s, seed %d: error %.1f %%, %.1f s".formatted(text(cell), seed, 100 * error, seconds));
      }
    }
  }

  private Contest contest(int[] indices, long seed) throws IOException {
    ImageDataset chosen = train.select(indices);
    return new Contest(engine, backbone, classes, chosen, recipe, seed);
  }

  /** The candidate with the smallest validation error, the first one of equals. */
  private Choice search(Contest contest, Run.Cell cell, Shots draw, TrainingListener listener)
      throws IOException {
    ImageDataset validation = train.select(draw.validation());
    Choice best = new Choice(Double.NaN, Double.NaN);
    double[] candidates = contest.candidates(cell.method());
    for (int i = 0; i < candidates.length; i++) {
      listener.phase("%s, search %d of %d".formatted(text(cell), i + 1, candidates.length));
      double error = 1; // no training is worse
      try {
        error = contest.error(cell.method(), candidates[i], validation);
      } catch (ArithmeticException diverged) {
        listener.note("diverged");
      }
      listener.note(
          "%s, %.3g: validation error %.1f %%".formatted(text(cell), candidates[i], 100 * error));
      if (!(error >= best.validationError)) {
        best = new Choice(candidates[i], error);
      }
    }
    return best;
  }

  /** With the setting that was chosen, or where that diverges half of it, and so on. */
  private double error(Contest contest, Run.Cell cell, double setting) throws IOException {
    try {
      return contest.error(cell.method(), setting, test);
    } catch (ArithmeticException diverged) {
      return error(contest, cell, setting / 2);
    }
  }

  private static String text(Run.Cell cell) {
    return "%s, %s, %s shots, %s"
        .formatted(cell.dataset(), cell.backbone(), cell.shotsText(), cell.method());
  }
}
