package org.lqf.explain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.DualOracle;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.LayerUnits;
import org.lqf.model.LinearisedModel;
import org.lqf.model.ParameterBlock;
import org.lqf.solve.GramSolver;
import org.lqf.solve.ImageArray;
import org.lqf.solve.LeastSquares;
import org.lqf.solve.Progress;
import org.lqf.solve.Samples;
import org.lqf.solve.Solution;

/**
 * A real problem that is solved in a second: the ResNet-8 of {@code test-data/tiny} with a random
 * head for five classes, and small photographs of these classes at a quarter of their size (7×7,
 * means of 4×4 pixels), which keeps the oracle quick.
 */
final class TinyProblem {

  static final int CLASSES = 5;
  static final int TRAIN = 30; // 6 of each class, more or less: the file is shuffled
  static final int TEST = 5;
  static final int BATCH = 32; // all at once, which is quicker
  static final double SCALE = 15;
  static final double RIDGE = 0.02; // λ; the condition number of K + λN is then some thousands
  static final List<String> LABELS = List.of("sandal", "shirt", "sneaker", "bag", "ankle-boot");

  private static final Path FOLDER = Path.of(System.getProperty("basedir", ""), "test-data/tiny");
  private static final int SIDE = 7;
  private static final int CELL = 28 / SIDE;

  static final Backbone BACKBONE = backbone();
  static final Backbone NETWORK = BACKBONE.withHead(head(), new float[CLASSES], LABELS);
  static final float[] TRAIN_IMAGES = images("train", TRAIN);
  static final int[] TRAIN_LABELS = labels("train", TRAIN);
  static final float[] TEST_IMAGES = images("test", TEST);
  static final int[] TEST_LABELS = labels("test", TEST);

  private TinyProblem() {}

  static Set<String> allLayers() {
    Set<String> names = new LinkedHashSet<>();
    for (ParameterBlock block : NETWORK.blocks()) {
      names.add(block.node());
    }
    return names;
  }

  static int floats() {
    return SIDE * SIDE;
  }

  /** The training images of these indices with the labels they have. */
  static ImageArray samples(int... indices) {
    float[] images = new float[indices.length * floats()];
    int[] labels = new int[indices.length];
    for (int i = 0; i < indices.length; i++) {
      System.arraycopy(TRAIN_IMAGES, indices[i] * floats(), images, i * floats(), floats());
      labels[i] = TRAIN_LABELS[indices[i]];
    }
    return ImageArray.labelled(images, labels, CLASSES, SCALE, BATCH);
  }

  static ImageArray training() {
    return ImageArray.labelled(TRAIN_IMAGES, TRAIN_LABELS, CLASSES, SCALE, BATCH);
  }

  static float[] testImage(int index) {
    float[] image = new float[floats()];
    System.arraycopy(TEST_IMAGES, index * floats(), image, 0, floats());
    return image;
  }

  /** A model trained on these images by the exact solver. */
  static LinearisedModel train(Engine engine, Samples samples) throws IOException {
    return train(engine, samples, RIDGE);
  }

  static LinearisedModel train(Engine engine, Samples samples, double ridge) throws IOException {
    return train(engine, samples, ridge, allLayers());
  }

  static LinearisedModel train(Engine engine, Samples samples, double ridge, Set<String> layers)
      throws IOException {
    try (Plan plan = engine.compile(NETWORK, layers, BATCH);
        LeastSquares problem = new LeastSquares(engine, plan, samples, ridge);
        DeviceVector delta = engine.vector(plan.parameters())) {
      Solution solution = GramSolver.solve(problem, delta, Progress.NONE);
      return model(samples.size(), delta.toArray(), solution, layers);
    }
  }

  static LinearisedModel model(int samples, float[] delta, Solution solution, Set<String> layers) {
    return new LinearisedModel(
        new LinearisedModel.Origin("resnet8", BACKBONE.digest(), "", "none", "test"),
        BACKBONE.input(),
        LABELS,
        head(),
        new float[CLASSES],
        LayerUnits.ones(layers),
        delta,
        new LinearisedModel.Fit(
            "gram", 0, samples, solution.iterations(), SCALE, solution.certificate()));
  }

  static List<double[]> oracleImages(float[] images) {
    List<double[]> all = new ArrayList<>();
    for (int i = 0; i < images.length; i += floats()) {
      double[] image = new double[floats()];
      for (int k = 0; k < image.length; k++) {
        image[k] = images[i + k];
      }
      all.add(image);
    }
    return all;
  }

  static DualOracle oracle() {
    return new DualOracle(NETWORK);
  }

  private static Backbone backbone() {
    try {
      return Backbone.read(FOLDER.resolve("resnet8-fashion5-leaky0.1.json"))
          .withInputSize(SIDE, SIDE);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Gaussian, seed 3, of about the size of a trained head. */
  private static float[] head() {
    int features = BACKBONE.cutAtFeatures().outputShape().channels();
    SplittableRandom random = new SplittableRandom(3);
    float[] weight = new float[CLASSES * features];
    for (int i = 0; i < weight.length; i++) {
      weight[i] = (float) (random.nextGaussian() / Math.sqrt(features));
    }
    return weight;
  }

  private static int[] labels(String part, int count) {
    byte[] bytes = bytes("fashion5to9-%s-labels.idx1-ubyte".formatted(part));
    int[] labels = new int[count];
    for (int i = 0; i < count; i++) {
      labels[i] = bytes[8 + i];
    }
    return labels;
  }

  /** [count, 1, SIDE, SIDE], normalised. */
  private static float[] images(String part, int count) {
    byte[] bytes = bytes("fashion5to9-%s-images.idx3-ubyte".formatted(part));
    InputSpec input = BACKBONE.input();
    float[] images = new float[count * floats()];
    for (int i = 0; i < images.length; i++) {
      int image = i / floats();
      int y = i % floats() / SIDE;
      int x = i % SIDE;
      int sum = 0;
      for (int cell = 0; cell < CELL * CELL; cell++) {
        int row = y * CELL + cell / CELL;
        sum += bytes[16 + (image * 28 + row) * 28 + x * CELL + cell % CELL] & 255;
      }
      images[i] = (sum / 255f / (CELL * CELL) - input.mean()[0]) / input.std()[0];
    }
    return images;
  }

  private static byte[] bytes(String name) {
    try {
      return Files.readAllBytes(FOLDER.resolve(name));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }
}
