package org.lqf.cli;

import org.jspecify.annotations.Nullable;
import org.lqf.tune.Head;
import org.lqf.tune.Layers;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.Solver;
import picocli.CommandLine.Option;

/** The options of {@code lqf tune} that make up its {@link LqfConfig}. */
final class TuneOptions {

  private static final LqfConfig DEFAULTS = LqfConfig.defaults();

  @Option(
      names = "--size",
      paramLabel = "PX",
      description = "Side of the square that images are brought to. Default: the network's own.")
  private int size = DEFAULTS.size();

  @Option(
      names = "--seed",
      paramLabel = "N",
      description =
          "Of all that is random: --holdout, --head random, order and augmentation of SGD. "
              + "Default: ${DEFAULT-VALUE}.")
  private long seed = DEFAULTS.seed();

  @Option(
      names = "--solver",
      paramLabel = "NAME",
      description =
          "auto (the fastest for these images), cg, cg-kfac, gram, sgd, sgd-kfac. All reach the "
              + "same optimum. Default: ${DEFAULT-VALUE}.")
  private Solver solver = DEFAULTS.solver();

  @Option(
      names = "--ridge",
      paramLabel = "X",
      description =
          "λ of the mean loss. Default: "
              + LqfConfig.DEFAULT_RELATIVE_RIDGE
              + " times the mean squared norm of a row of the Jacobian.")
  private @Nullable Double ridge;

  @Option(
      names = "--damping",
      paramLabel = "X",
      description =
          "γ added to the Kronecker factors of the -kfac solvers. Default: "
              + LqfConfig.DEFAULT_RELATIVE_DAMPING
              + " times the ridge.")
  private @Nullable Double damping;

  @Option(
      names = "--target-scale",
      paramLabel = "X",
      description = "Targets are X for an image's class, else 0. Default: ${DEFAULT-VALUE}.")
  private double targetScale = DEFAULTS.targetScale();

  @Option(
      names = "--head",
      paramLabel = "probe|random",
      description = "Where the new last layer starts. Default: probe, the linear probe's solution.")
  private Head head = DEFAULTS.head();

  @Option(
      names = "--linearise",
      paramLabel = "LAYERS",
      description = "all, last-K, or names of layers with commas between. Default: all.")
  private Layers layers = DEFAULTS.layers();

  @Option(
      names = "--layer-decay",
      paramLabel = "X",
      description =
          "How freely a layer moves, in units of the one behind it: 1 for all the same, less to keep "
              + "the layers near the image as they are. Default: ${DEFAULT-VALUE}.")
  private double layerDecay = DEFAULTS.layerDecay();

  @Option(
      names = "--tolerance",
      paramLabel = "X",
      description =
          "cg stops where ‖∇L‖ has fallen to this part of its start. Default: ${DEFAULT-VALUE}.")
  private double tolerance = DEFAULTS.tolerance();

  @Option(
      names = "--iterations",
      paramLabel = "N",
      description = "cg stops after so many. Default: ${DEFAULT-VALUE}.")
  private int iterations = DEFAULTS.iterations();

  @Option(
      names = "--epochs",
      paramLabel = "N",
      description = "Passes of sgd over the images. Default: ${DEFAULT-VALUE}.")
  private int epochs = DEFAULTS.epochs();

  @Option(
      names = "--batch",
      paramLabel = "N",
      description = "Images of a step of sgd. Default: ${DEFAULT-VALUE}.")
  private int batch = DEFAULTS.batch();

  @Option(
      names = "--learning-rate",
      paramLabel = "X",
      description = "Of sgd. Default: measured, so that it is stable; halved if it is not.")
  private @Nullable Double rate;

  @Option(
      names = "--augment",
      description = "sgd shifts and flips the training images anew in every epoch.")
  private boolean augment;

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      description =
          "The most that the process may hold, such as 2g: what is kept, batches and the choice of "
              + "a solver follow it. Default: half of what is free. lqf plan says what is needed.")
  private @Nullable ByteSize memory;

  long seed() {
    return seed;
  }

  /**
   * @param readers threads that decode images
   * @throws IllegalArgumentException if a value is out of range
   */
  LqfConfig config(int readers) {
    LqfConfig config =
        DEFAULTS
            .withSize(size)
            .withSeed(seed)
            .withSolver(solver)
            .withTargetScale(targetScale)
            .withHead(head)
            .withLayers(layers)
            .withLayerDecay(layerDecay)
            .withTolerance(tolerance)
            .withIterations(iterations)
            .withEpochs(epochs)
            .withBatch(batch)
            .withAugment(augment)
            .withReaders(readers);
    config = ridge == null ? config : config.withRidge(ridge);
    config = memory == null ? config : config.withMemory(memory.bytes());
    config = damping == null ? config : config.withDamping(damping);
    return rate == null ? config : config.withRate(rate);
  }
}
