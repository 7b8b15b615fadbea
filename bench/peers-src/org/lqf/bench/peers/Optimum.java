package org.lqf.bench.peers;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.DoubleStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.lqf.engine.Engine;
import org.lqf.engine.Precision;
import org.lqf.engine.Winograd;
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
 * Time to the training loss that SGD in libtorch reaches in some epochs (momentum 0.9, batches of
 * 32, the best of several learning rates, constant for half of the epochs, then a quarter of a
 * cosine), by each solver of lqf, and to a certified optimum. A real fine-tuning: the shipped
 * network on shipped images. All start from the same linear probe and fall to the same quadratic
 * loss, in the same units of the layers. Clocks run from the solver's first step (its Kronecker
 * factors included); reading images, the probe and the evaluation of losses are nobody's time.
 */
final class Optimum {

  private static final int BATCH = 32;
  private static final double MOMENTUM = 0.9;
  private static final double[] RATES = {5e-6, 1e-5, 2e-5, 4e-5, 8e-5, 1.6e-4};
  private static final int TRIAL_EPOCHS = 3;
  private static final int ITERATIONS = 200; // of the conjugate gradients, should they not be there

  /** Conjugate gradients go on until ‖∇L‖ is this part of what it was. */
  private static final double TOLERANCE = 5e-3;

  /**
   * An optimum is one where the solver's own certificate leaves less than this part of the loss.
   */
  private static final double CERTIFIED = 1e-3;

  private final int perClass;
  private final int epochs;
  private final int threads;

  /**
   * @param perClass images of each class
   * @param epochs of libtorch
   */
  Optimum(int perClass, int epochs, int threads) {
    this.perClass = perClass;
    this.epochs = epochs;
    this.threads = threads;
  }

  /** The loss is low enough: ends a training. */
  private static final class Reached extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  /**
   * Seconds of a training by lqf: until the loss was reached, NaN if never, and in all; at the end
   * L is proven to be at most so much above the smallest.
   */
  private record Run(double reached, double all, double gap) {}

  List<Entry> compare() throws IOException {
    Backbone backbone =
        Backbone.read(Path.of("test-data/resnet20-leaky0.1-own/resnet20-leaky0.1-own.json"));
    ImageFolder folder =
        ImageFolder.read(Path.of("test-data/fashion10/train")).limitPerClass(perClass);
    List<Entry> entries = new ArrayList<>();
    try (Engine engine = Engine.open("cpu", threads)) {
      LqfConfig config = LqfConfig.defaults().withIterations(1);
      LinearisedModel start =
          LqfTrainer.tune(engine, backbone, folder, config.withSolver(Solver.CG));
      Sgd sgd = tuned(start, backbone, folder);
      double loss = sgd.run();
      System.out.printf(
          "  optimum: libtorch SGD, %d epochs at %.0e: %.1f s, %.2f s an epoch, loss %.6g%n",
          epochs, sgd.rate, sgd.seconds, sgd.seconds / epochs, loss);
      LqfConfig same =
          config
              .withIterations(ITERATIONS)
              .withTolerance(TOLERANCE)
              .withEpochs(epochs)
              .withRidge(start.fit().ridge());
      for (Solver solver : List.of(Solver.CG, Solver.SGD_KFAC, Solver.GRAM)) {
        Run run = train(engine, backbone, folder, same.withSolver(solver), loss);
        add(entries, solver.toString(), run, folder, sgd, loss);
      }
      try (Engine quick = Engine.open("cpu", threads, Winograd.F4, Precision.FP32)) {
        Run run = train(quick, backbone, folder, same.withSolver(Solver.CG), loss);
        add(entries, Solver.CG + "/winograd4", run, folder, sgd, loss);
      }
    }
    return entries;
  }

  private void add(
      List<Entry> entries, String variant, Run run, ImageFolder folder, Sgd sgd, double loss) {
    String name = "libtorch/fashion10-%d/%s".formatted(folder.size(), variant);
    entries.add(entry("optimum/" + name, run.reached, sgd));
    if (run.gap <= CERTIFIED * loss) {
      entries.add(entry("optimum-certified/" + name, run.all, sgd));
    }
  }

  private Entry entry(String name, double seconds, Sgd sgd) {
    return new Entry(name, threads, 1e3 * seconds, 1e3 * sgd.seconds, null, null);
  }

  /** SGD at the rate that falls fastest through the first epochs. */
  private Sgd tuned(LinearisedModel start, Backbone backbone, ImageFolder folder)
      throws IOException {
    double bestRate = RATES[0];
    double least = Double.POSITIVE_INFINITY;
    for (double rate : RATES) {
      double loss = new Sgd(start, backbone, folder, rate, TRIAL_EPOCHS).run();
      System.out.printf("  optimum: libtorch SGD, rate %.0e: loss %.6g%n", rate, loss);
      if (loss < least) {
        least = loss;
        bestRate = rate;
      }
    }
    if (bestRate == RATES[0] || bestRate == RATES[RATES.length - 1]) {
      System.out.println("  optimum: the best rate is at an end of the list");
    }
    return new Sgd(start, backbone, folder, bestRate, epochs);
  }

  /** Trains: SGD until the loss is reached, the others until they are done. */
  private static Run train(
      Engine engine, Backbone backbone, ImageFolder folder, LqfConfig config, double loss)
      throws IOException {
    long[] start = new long[1];
    double[] there = {Double.NaN};
    TrainingListener listener =
        new TrainingListener() {
          @Override
          public void phase(String name) {
            if (name.equals("Kronecker factors")
                || name.equals("preconditioner")
                || (start[0] == 0 && name.startsWith("solving"))) {
              start[0] = System.nanoTime();
            }
          }

          @Override
          public void step(Progress.Step step) {
            if (step.loss() <= loss && Double.isNaN(there[0])) {
              there[0] = (System.nanoTime() - start[0]) / 1e9;
              if (config.solver().stochastic()) {
                throw new Reached();
              }
            }
          }
        };
    double last = Double.NaN;
    double gap = Double.NaN;
    try {
      TrainingReport report =
          LqfTrainer.train(engine, backbone, folder, config, listener, TrainingFiles.NONE);
      last = report.certificate().loss();
      gap = report.certificate().gap();
    } catch (Reached e) {
      // its time was taken
    }
    double all = (System.nanoTime() - start[0]) / 1e9;
    System.out.printf(
        "  optimum: %s, there after %.1f s, ends after %.1f s with loss %.6g, proven within %.2g%n",
        config.solver(), there[0], all, last, gap);
    return new Run(there[0], all, gap);
  }

  /** A training by libtorch. */
  private final class Sgd {
    private final double rate;
    private final int count;
    private final LinearisedModel model;
    private final TorchNetwork network;
    private final double[] squaredUnits; // of the layer of each displacement: w = w0 + unit · Δ
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
      squaredUnits =
          started.blocks().stream()
              .mapToDouble(block -> Math.pow(model.linearised().byLayer().get(block.node()), 2))
              .flatMap(square -> DoubleStream.of(square, square)) // weight and bias
              .toArray();
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
                network.step(images.index_select(0, at), targets.index_select(0, at), 0);
            try (AutoGradMode off = new AutoGradMode(false)) {
              for (int i = 0; i < velocities.size(); i++) {
                Tensor displacement = network.displacements().get(i);
                Tensor velocity = velocities.get(i).mul_(new Scalar(MOMENTUM));
                velocity.add_(gradient.get(i), new Scalar(-now * squaredUnits[i]));
                velocity.add_(displacement, new Scalar(-now * model.fit().ridge()));
                displacement.add_(velocity);
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
      for (int i = 0; i < squaredUnits.length; i++) {
        for (float value : Torch.toArray(network.displacements().get(i))) {
          norm += (double) value * value / squaredUnits[i];
        }
      }
      double result = squares / (2 * n) + model.fit().ridge() / 2 * norm;
      return Double.isFinite(result) ? result : Double.POSITIVE_INFINITY;
    }
  }
}
