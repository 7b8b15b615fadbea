package org.lqf.baseline;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.tune.TrainingListener;

/**
 * Every method on every data set, network and number of shots, for some seeds.
 *
 * <p>The one hyper-parameter of a method is chosen once for each cell, on validation images that
 * are drawn from the training images with seed 0, by {@link Recipe#budget} trainings; other seeds
 * keep it. Test images are looked at once for each run, after its training.
 *
 * @param size side of the square input, or 0: each network's own
 * @param shots images of each class, 0 for all
 * @param seeds draws of images and orders: 0 … seeds − 1
 */
public record Comparison(
    List<Network> networks,
    List<Images> images,
    int size,
    List<Integer> shots,
    int seeds,
    Set<Method> methods,
    Recipe recipe) {

  /** A pre-trained network. */
  public record Network(String name, Backbone backbone) {}

  /** A data set; the test images have the classes of the training images. */
  public record Images(String name, ImageFolder train, ImageFolder test) {}

  public Comparison {
    networks = List.copyOf(networks);
    images = List.copyOf(images);
    shots = List.copyOf(shots);
    methods = Set.copyOf(methods);
    if (seeds < 1 || shots.stream().anyMatch(n -> n < 0)) {
      throw new IllegalArgumentException(
          "seeds must be at least 1 and shots positive, got %d and %s".formatted(seeds, shots));
    }
  }

  /**
   * Runs what is not yet in the folder's {@code runs.csv}.
   *
   * @param folder is there; {@code runs.csv} and {@code compare.csv} are kept up to date in it
   * @param readers threads that decode images
   * @return all runs of the folder
   */
  public List<Run> run(Engine engine, Path folder, int readers, TrainingListener listener)
      throws IOException {
    RunFile file = new RunFile(folder, recipe);
    for (Images data : images) {
      for (Network network : networks) {
        Stage stage = null;
        for (int count : shots) {
          for (long seed = 0; seed < seeds; seed++) {
            List<Run.Cell> cells = missing(file, data, network, count, seed);
            if (!cells.isEmpty()) {
              if (stage == null) {
                listener.phase("reading " + data.name);
                stage = Stage.of(engine, sized(network.backbone), data, recipe, readers);
              }
              stage.run(cells, seed, file, listener);
            }
          }
        }
      }
    }
    return file.runs();
  }

  private List<Run.Cell> missing(RunFile file, Images data, Network network, int count, long seed) {
    boolean ownSize = sized(network.backbone).input().equals(network.backbone.input());
    String name = ownSize ? network.name : network.name + "@" + size;
    return methods.stream()
        .filter(method -> method.fits(network.backbone))
        // Where all the images are trained on, only some methods depend on the seed.
        .filter(method -> seed == 0 || count != Shots.ALL || method.random())
        .sorted()
        .map(method -> new Run.Cell(data.name, name, count, method))
        .filter(cell -> file.runs(cell).stream().noneMatch(run -> run.seed() == seed))
        .toList();
  }

  private Backbone sized(Backbone own) {
    return size == 0 ? own : own.withInputSize(size, size);
  }
}
