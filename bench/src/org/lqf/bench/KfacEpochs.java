package org.lqf.bench;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.solve.Progress;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;
import org.lqf.tune.Solver;
import org.lqf.tune.TrainingListener;
import org.lqf.tune.TrainingReport;

/**
 * The paper's claim, on real images: epochs of SGD to a training loss, with and without Kronecker
 * factors. Both get momentum 0.9, batches of 32 and the best of many learning rates; the loss of an
 * epoch is the mean over its batches. {@code bench/kfac} runs it.
 */
public final class KfacEpochs {

  private static final int EPOCHS = 40;

  /** Learning rates by solver; a best one at an end of its list would call for more. */
  private static final Map<Solver, double[]> RATES =
      Map.of(
          Solver.SGD, new double[] {3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4},
          Solver.SGD_KFAC, new double[] {0.003, 0.01, 0.03, 0.1, 0.3, 1});

  private KfacEpochs() {}

  /** One training: its losses after each epoch, or too few of them if it diverged. */
  private record Run(double rate, List<Double> losses) {
    double last() {
      return losses.size() < EPOCHS ? Double.POSITIVE_INFINITY : losses.get(EPOCHS - 1);
    }

    /** Epochs until the loss is at most this, or −1. */
    int epochsTo(double loss) {
      for (int epoch = 0; epoch < losses.size(); epoch++) {
        if (losses.get(epoch) <= loss) {
          return epoch + 1;
        }
      }
      return -1;
    }
  }

  /** Arguments: backbone JSON, folder of training images, images per class, side in pixels. */
  public static void main(String[] args) throws IOException {
    Backbone backbone = Backbone.read(Path.of(args[0]));
    ImageFolder images =
        ImageFolder.read(Path.of(args[1])).limitPerClass(Integer.parseInt(args[2]));
    LqfConfig config = LqfConfig.defaults().withSize(Integer.parseInt(args[3])).withEpochs(EPOCHS);
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    try (Engine engine = Engine.open("auto")) {
      TrainingReport exact = train(engine, backbone, images, config.withSolver(Solver.CG));
      double optimum = exact.certificate().loss();
      Map<String, Run> best = new LinkedHashMap<>();
      for (Solver solver : List.of(Solver.SGD, Solver.SGD_KFAC)) {
        List<Run> runs = new ArrayList<>();
        for (double rate : RATES.get(solver)) {
          Run run = run(engine, backbone, images, config.withSolver(solver).withRate(rate));
          System.err.printf("%s rate %.0e: loss %.4f%n", solver, rate, run.last());
          runs.add(run);
        }
        best.put(solver.text(), runs.stream().min(Comparator.comparing(Run::last)).orElseThrow());
      }
      out.printf("# images %d, loss at the optimum %.5f%n", images.size(), optimum);
      best.forEach((name, run) -> out.printf("# %s: best rate %.0e%n", name, run.rate));
      double start = exact.trace().get(0).loss();
      for (double part : new double[] {0.5, 0.2, 0.1, 0.05, 0.02, 0.01}) {
        double loss = optimum + part * (start - optimum);
        out.printf("# epochs to %.0f %% of the excess loss:", 100 * part);
        best.forEach((name, run) -> out.printf(" %s %d", name, run.epochsTo(loss)));
        out.println();
      }
      out.println("epoch," + String.join(",", best.keySet()));
      out.print("0");
      best.forEach((name, run) -> out.printf(",%.6f", start - optimum));
      out.println();
      for (int epoch = 0; epoch < EPOCHS; epoch++) {
        out.print(epoch + 1);
        for (Run run : best.values()) {
          out.printf(",%.6f", run.losses.get(epoch) - optimum);
        }
        out.println();
      }
    }
  }

  private static Run run(Engine engine, Backbone backbone, ImageFolder images, LqfConfig config)
      throws IOException {
    List<Double> losses = new ArrayList<>();
    TrainingListener listener =
        new TrainingListener() {
          @Override
          public void step(Progress.Step step) {
            losses.add(step.loss());
          }
        };
    try {
      LqfTrainer.train(engine, backbone, "", images, config, listener, null);
    } catch (ArithmeticException diverged) {
      // its list is too short
    }
    return new Run(config.rate().orElseThrow(), losses);
  }

  private static TrainingReport train(
      Engine engine, Backbone backbone, ImageFolder images, LqfConfig config) throws IOException {
    return LqfTrainer.train(engine, backbone, "", images, config, TrainingListener.NONE, null);
  }
}
