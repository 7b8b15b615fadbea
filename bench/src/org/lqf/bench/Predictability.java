package org.lqf.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.lqf.baseline.Contest;
import org.lqf.baseline.Descent;
import org.lqf.baseline.Loss;
import org.lqf.baseline.Method;
import org.lqf.baseline.Recipe;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.report.CsvFile;
import org.lqf.report.LinePlot;
import org.lqf.solve.GramMatrix;
import org.lqf.solve.Progress;
import org.lqf.solve.Samples;
import org.lqf.tune.LinearProbe;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.RowNorm;
import org.lqf.tune.TrainingImages;
import org.lqf.tune.TrainingListener;

/**
 * How predictable a training is: the loss curve of LQF in closed form against the measured one, and
 * what learning rate and order of the same images do to LQF and to ordinary fine-tuning. {@code
 * bench/predictability} runs it.
 */
public final class Predictability {

  private static final int STEPS = 100; // of the curve
  private static final int ORDERS = 3;

  /** Learning rates, in units of the first one that a comparison tries. */
  private static final double[] FACTORS = {0.0625, 0.25, 1, 4};

  private static final List<Method> METHODS = List.of(Method.LINEAR_LEAKY_MSE_SGD, Method.NLFT);

  private final Engine engine;
  private final Backbone backbone;
  private final List<String> classes;
  private final ImageDataset train;
  private final ImageDataset test;

  private Predictability(Engine engine, Backbone backbone, ImageFolder train, ImageFolder test)
      throws IOException {
    this.engine = engine;
    this.backbone = backbone;
    this.classes = train.classes();
    this.train = TrainingImages.prepare(train, backbone.input(), 1);
    this.test = TrainingImages.prepare(test, backbone.input(), 1);
  }

  /**
   * Arguments: backbone JSON, folder with train and test, images per class, threads, the folder to
   * write predicted.csv, predicted.svg and variation.csv in.
   */
  public static void main(String[] args) throws IOException {
    Path data = Path.of(args[1]);
    Path out = Path.of(args[4]);
    ImageFolder train =
        ImageFolder.read(data.resolve("train")).limitPerClass(Integer.parseInt(args[2]));
    ImageFolder test = ImageFolder.readLike(data.resolve("test"), train.classes());
    Files.createDirectories(out);
    try (Engine engine = Engine.open("auto", Integer.parseInt(args[3]))) {
      Predictability study =
          new Predictability(engine, Backbone.read(Path.of(args[0])), train, test);
      study.curve(out);
      study.variation(out.resolve("variation.csv"));
    }
  }

  /** Gradient descent on all images: math.md §6, state at step t, for the mean loss. */
  private void curve(Path out) throws IOException {
    int n = train.size();
    LqfConfig config = LqfConfig.defaults().withReaders(1).withBatch(n);
    Samples samples =
        new TrainingImages(
            train, classes.size(), config.targetScale(), n, config, TrainingListener.NONE);
    LinearProbe probe =
        LinearProbe.of(engine, backbone, samples, train.labels(), classes.size(), n);
    Backbone network = probe.attach(backbone, config.targetScale(), classes);
    try (Plan plan = engine.compile(network, n);
        SymmetricMatrix kernel = GramMatrix.of(engine, plan, samples, Progress.NONE);
        DeviceVector delta = engine.vector(plan.parameters())) {
      double ridge = LqfConfig.DEFAULT_RELATIVE_RIDGE * RowNorm.meanSquare(engine, plan, train);
      double mu = ridge * n;
      double[] residual = residual(plan, samples);
      double[] values = kernel.eigen();
      double[] vectors = kernel.toArray();
      int side = values.length;
      double rate = 1.8 * n / (values[side - 1] + mu); // of the mean loss: stable below 2
      double[] coordinates = new double[side];
      for (int j = 0; j < side; j++) {
        for (int i = 0; i < side; i++) {
          coordinates[j] += vectors[j * side + i] * residual[i];
        }
      }
      double[] predicted = new double[STEPS];
      for (int t = 0; t < STEPS; t++) {
        for (int j = 0; j < side; j++) {
          double all = values[j] + mu;
          double done = 1 - Math.pow(1 - rate / n * all, t);
          double left = (1 - values[j] / all * done) * coordinates[j];
          predicted[t] += left * left / (2 * n);
        }
      }
      double[] measured =
          new Descent(Descent.Model.LINEARISED, Loss.SQUARED_ERROR, ridge, 0, STEPS, epoch -> rate)
              .run(engine, plan, samples, null, delta);
      List<List<String>> rows = new ArrayList<>();
      double worst = 0;
      for (int t = 0; t < STEPS; t++) {
        rows.add(List.of(Integer.toString(t), text(measured[t]), text(predicted[t])));
        worst = Math.max(worst, Math.abs(measured[t] / predicted[t] - 1));
      }
      System.out.printf("largest relative difference of measured and predicted loss %.2g%n", worst);
      CsvFile.write(out.resolve("predicted.csv"), List.of("step", "measured", "predicted"), rows);
      double[] steps = IntStream.range(0, STEPS).asDoubleStream().toArray();
      LinePlot plot =
          new LinePlot(
              new LinePlot.Axis("steps of gradient descent", false),
              new LinePlot.Axis("training loss", true),
              List.of(
                  new LinePlot.Curve("measured", steps, measured),
                  new LinePlot.Curve("closed form", steps, predicted)),
              List.of());
      Files.writeString(out.resolve("predicted.svg"), plot.svg());
    }
  }

  /** y − f(x; w0), [N·C]; all images are one batch. */
  private double[] residual(Plan plan, Samples samples) throws IOException {
    double[] residual = new double[samples.size() * plan.classes()];
    try (DeviceVector outputs = engine.vector(residual.length)) {
      samples.forEach(
          Samples.IN_ORDER,
          (images, n, targets) -> {
            plan.forward(images, n);
            plan.outputs(outputs);
            float[] values = outputs.toArray();
            Arrays.setAll(residual, i -> (double) targets[i] - values[i]);
          });
    }
    return residual;
  }

  /** Test errors of the same images in other orders, at other rates. */
  private void variation(Path file) throws IOException {
    Recipe recipe =
        new Recipe(100, 16, 1, LqfConfig.DEFAULT_TARGET_SCALE, Recipe.DEFAULT_LOGIT_SCALE);
    List<List<String>> rows = new ArrayList<>();
    double[] units = new double[METHODS.size()];
    for (int order = 0; order < ORDERS; order++) {
      try (Contest contest = new Contest(engine, backbone, classes, train, recipe, order)) {
        if (order == 0) {
          for (int m = 0; m < units.length; m++) {
            units[m] = contest.candidates(METHODS.get(m))[0];
          }
        }
        double ridge = contest.candidates(Method.LQF)[0];
        rows.add(row(Method.LQF, order, ridge, contest.error(Method.LQF, ridge, test)));
        for (int m = 0; m < units.length; m++) {
          for (double factor : FACTORS) {
            double rate = factor * units[m];
            rows.add(row(METHODS.get(m), order, rate, error(contest, METHODS.get(m), rate)));
          }
        }
      }
      CsvFile.write(file, List.of("method", "order", "setting", "error"), rows);
    }
  }

  /** NaN where the training diverges. */
  private double error(Contest contest, Method method, double rate) throws IOException {
    try {
      return contest.error(method, rate, test);
    } catch (ArithmeticException e) {
      return Double.NaN;
    }
  }

  private static List<String> row(Method method, int order, double setting, double error) {
    System.out.printf("%s, order %d, %.3g: error %.1f %%%n", method, order, setting, 100 * error);
    return List.of(method.text(), Integer.toString(order), text(setting), text(error));
  }

  private static String text(double value) {
    return String.format(Locale.ROOT, "%.6g", value);
  }
}
