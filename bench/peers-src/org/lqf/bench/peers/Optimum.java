package org.lqf.bench.peers;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.lqf.engine.Engine;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.image.ImageTransform;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.Progress;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;
import org.lqf.tune.Solver;
import org.lqf.tune.TrainingFiles;
import org.lqf.tune.TrainingListener;
import org.lqf.tune.TrainingReport;

/**
 * Time to the optimum of a real fine-tuning: the shipped network on shipped images, by each solver
 * of lqf, against SGD in libtorch (momentum 0.9, batches of 32, the best of several learning rates,
 * constant for half of the epochs, then a quarter of a cosine). All start from the same linear
 * probe and fall to the same quadratic loss. Clocks run from the solver's first step (its Kronecker
 * factors included); reading images, the probe and the evaluation of losses are nobody's time.
 */
final class Optimum {

  private static final int BATCH = 32;
  private static final double MOMENTUM = 0.9;
  private static final double[] RATES = {5e-6, 1e-5, 2e-5, 4e-5};

  private final int perClass;
  private final int epochs;
  private final int threads;
  private final List<Solver> solvers;

  /**
   * @param perClass images of each class
   * @param epochs of libtorch
   */
  Optimum(int perClass, int epochs, int threads, List<Solver> solvers) {
    this.solvers = solvers;
    this.perClass = perClass;
    this.epochs = epochs;
    this.threads = threads;
  }

  /** A training by lqf: loss by the seconds at which it was reached. */
  private record Run(Solver solver, TreeMap<Double, Double> losses, TrainingReport report) {
    double seconds() {
      return losses.lastKey();
    }

    /** Seconds until the loss was at most this; NaN if it never was. */
    double secondsTo(double loss) {
      return losses.entrySet().stream()
          .filter(entry -> entry.getValue() <= loss)
          .mapToDouble(Map.Entry::getKey)
          .findFirst()
          .orElse(Double.NaN);
    }
  }

  List<Entry> compare() throws IOException {
    Backbone backbone =
        Backbone.read(Path.of("test-data/resnet20-leaky0.1-own/resnet20-leaky0.1-own.json"));
    ImageFolder folder =
        ImageFolder.read(Path.of("test-data/fashion10/train")).limitPerClass(perClass);
    LqfConfig config = LqfConfig.defaults();
    List<Run> runs = new ArrayList<>();
    try (Engine engine = Engine.open("cpu", threads)) {
      for (Solver solver : solvers) {
        Run run = train(engine, backbone, folder, config.withSolver(solver));
        config = config.withRidge(run.report.model().fit().ridge());
        runs.add(run);
        System.out.printf(
            "  optimum: %s %.1f s, loss %.6g, certified gap %.2g%n",
            solver, run.seconds(), run.report.certificate().loss(), run.report.certificate().gap());
      }
    }
    LinearisedModel model = runs.get(0).report.model();
    Sgd best = null;
    for (double rate : RATES) {
      Sgd trial = new Sgd(model, backbone, folder, rate, Math.max(3, epochs / 5));
      double loss = trial.run();
      System.out.printf("  optimum: libtorch SGD, rate %.0e: loss %.6g%n", rate, loss);
      best = best == null || loss < best.loss ? trial : best;
    }
    if (best.rate == RATES[0] || best.rate == RATES[RATES.length - 1]) {
      System.out.println("  optimum: the best rate is at an end of the list");
    }
    Sgd sgd = new Sgd(model, backbone, folder, best.rate, epochs);
    double loss = sgd.run();
    System.out.printf(
        "  optimum: libtorch SGD, %d epochs at %.0e: %.1f s, %.2f s an epoch, loss %.6g%n",
        epochs, best.rate, sgd.seconds, sgd.seconds / epochs, loss);
    List<Entry> entries = new ArrayList<>();
    for (Run run : runs) {
      String name = "fashion10-%d/%s".formatted(folder.size(), run.solver);
      double millis = 1e3 * sgd.seconds;
      double reached = 1e3 * run.secondsTo(loss);
      entries.add(new Entry("optimum/libtorch/" + name, threads, reached, millis, null, null));
      if (run.report.converged() && !run.solver.stochastic()) {
        entries.add(
            new Entry(
                "optimum-certified/libtorch/" + name,
                threads,
                1e3 * run.seconds(),
                millis,
                null,
                null));
      }
    }
    return entries;
  }

  private static Run train(Engine engine, Backbone backbone, ImageFolder folder, LqfConfig config)
      throws IOException {
    TreeMap<Double, Double> losses = new TreeMap<>();
    long[] start = new long[1];
    TrainingListener listener =
        new TrainingListener() {
          @Override
          public void phase(String name) {
            if (name.equals("Kronecker factors") || (start[0] == 0 && name.startsWith("solving"))) {
              start[0] = System.nanoTime();
            }
          }

          @Override
          public void step(Progress.Step step) {
            if (Double.isFinite(step.loss())) {
              losses.put((System.nanoTime() - start[0]) / 1e9, step.loss());
            }
          }
        };
    TrainingReport report =
        LqfTrainer.train(engine, backbone, folder, config, listener, TrainingFiles.NONE);
    losses.put((System.nanoTime() - start[0]) / 1e9, report.certificate().loss());
    return new Run(config.solver(), losses, report);
  }

  /** A training by libtorch. */
  private final class Sgd {
    private final double rate;
    private final int count;
    private final LinearisedModel model;
    private final TorchNetwork network;
    private final Tensor images; // [n, channels, height, width]
    private final Tensor targets; // [n, classes]
    private double seconds;
    private double loss;

    Sgd(LinearisedModel model, Backbone backbone, ImageFolder folder, double rate, int count)
        throws IOException {
      Torch.threads(threads);
      this.rate = rate;
      this.count = count;
      this.model = model;
      Backbone started = model.attach(backbone); // the probe is its head
      network =
          new TorchNetwork(started, new float[(int) started.parameters()], TorchNetwork.Style.BEST);
      InputSpec input = model.input();
      ImageDataset data =
          ImageDataset.of(
              folder,
              new ImageTransform(
                  input.channels(), input.height(), input.width(), input.mean(), input.std()));
      float[] pixels = new float[data.size() * data.floats()];
      float[] labels = new float[data.size() * model.labels().size()];
      for (int i = 0; i < data.size(); i++) {
        data.read(i, pixels, i * data.floats());
        labels[i * model.labels().size() + data.labels()[i]] = (float) model.fit().targetScale();
      }
      images = network.images(pixels, data.size());
      targets = Torch.tensor(labels, data.size(), model.labels().size());
    }

    /** Trains; gives the loss of all images at the end. */
    double run() {
      List<Tensor> velocities = network.displacements().stream().map(torch::zeros_like).toList();
      Random random = new Random(0);
      int n = (int) images.size(0);
      List<Long> order = new ArrayList<>();
      for (long i = 0; i < n; i++) {
        order.add(i);
      }
      long start = System.nanoTime();
      for (int epoch = 0; epoch < count; epoch++) {
        Collections.shuffle(order, random);
        double late = Math.max(0, 2.0 * epoch / count - 1);
        double now = rate * Math.cos(Math.PI / 2 * late);
        for (int first = 0; first < n; first += BATCH) {
          try (PointerScope scope = new PointerScope()) {
            long[] chosen =
                order.subList(first, Math.min(n, first + BATCH)).stream()
                    .mapToLong(Long::longValue)
                    .toArray();
            Tensor at = Tensor.create(chosen);
            TensorVector gradient =
                network.step(
                    images.index_select(0, at), targets.index_select(0, at), model.fit().ridge());
            try (AutoGradMode off = new AutoGradMode(false)) {
              for (int i = 0; i < velocities.size(); i++) {
                Tensor velocity = velocities.get(i).mul_(new Scalar(MOMENTUM));
                velocity.add_(gradient.get(i), new Scalar(-now));
                network.displacements().get(i).add_(velocity);
              }
            }
          }
        }
      }
      seconds = (System.nanoTime() - start) / 1e9;
      loss = loss();
      Torch.blasThreads(1);
      return loss;
    }

    private double loss() {
      int n = (int) images.size(0);
      double squares = 0;
      double norm = 0;
      for (int first = 0; first < n; first += BATCH) {
        try (PointerScope scope = new PointerScope()) {
          int size = Math.min(BATCH, n - first);
          float[] scores = Torch.toArray(network.predict(images.narrow(0, first, size)));
          float[] wanted = Torch.toArray(targets.narrow(0, first, size));
          for (int i = 0; i < scores.length; i++) {
            squares += Math.pow((double) scores[i] - wanted[i], 2);
          }
        }
      }
      for (Tensor displacement : network.displacements()) {
        for (float value : Torch.toArray(displacement)) {
          norm += (double) value * value;
        }
      }
      double result = squares / (2 * n) + model.fit().ridge() / 2 * norm;
      return Double.isFinite(result) ? result : Double.POSITIVE_INFINITY;
    }
  }
}
