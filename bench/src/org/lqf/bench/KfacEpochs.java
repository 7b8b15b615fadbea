package org.lqf.bench;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.solve.Progress;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;
import org.lqf.tune.Solver;
import org.lqf.tune.TrainingFiles;
import org.lqf.tune.TrainingListener;

/**
 * The paper's claim, on real images: epochs of SGD to a training loss, with and without Kronecker
 * factors. Both have momentum 0.9 and batches of 32. Plain SGD gets the best of several learning
 * rates, the preconditioned one only its default. The loss of an epoch is the mean over its
 * batches. {@code bench/kfac} runs it.
 */
public final class KfacEpochs {

  private static final int EPOCHS = 30;

  /** Of plain SGD; a best one at an end of the list would call for more. */
  private static final double[] RATES = {3e-6, 1e-5, 2e-5, 4e-5};

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
      List<Run> plain = new ArrayList<>();
      for (double rate : RATES) {
        Run run = run(engine, backbone, images, config.withSolver(Solver.SGD).withRate(rate));
        System.err.printf("sgd rate %.0e: loss %.4f%n", rate, run.last());
        plain.add(run);
      }
      Run sgd = plain.stream().min(Comparator.comparing(Run::last)).orElseThrow();
      Run kfac = run(engine, backbone, images, config.withSolver(Solver.SGD_KFAC));
      out.printf("# %d images, sgd at its best rate %.0e%n", images.size(), sgd.rate);
      for (int epochs : new int[] {5, 10, 20, EPOCHS}) {
        double loss = sgd.losses.get(epochs - 1);
        out.printf("# loss %.3f: sgd %d epochs, sgd-kfac %d%n", loss, epochs, kfac.epochsTo(loss));
      }
      out.println("epoch,sgd,sgd-kfac");
      for (int epoch = 0; epoch < EPOCHS; epoch++) {
        out.printf("%d,%.6f,%.6f%n", epoch + 1, sgd.losses.get(epoch), kfac.losses.get(epoch));
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
      LqfTrainer.train(engine, backbone, images, config, listener, TrainingFiles.NONE);
    } catch (ArithmeticException diverged) {
      // its list is too short
    }
    return new Run(config.rate().orElse(Double.NaN), losses);
  }
}
