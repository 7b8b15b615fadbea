package org.lqf.baseline;

import java.io.IOException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.lqf.curvature.Damping;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.Batch;
import org.lqf.image.Batches;
import org.lqf.image.ImageDataset;
import org.lqf.model.Backbone;
import org.lqf.solve.Checkpoint;
import org.lqf.solve.ConjugateGradient;
import org.lqf.solve.GramSolver;
import org.lqf.solve.LargestEigenvalue;
import org.lqf.solve.LeastSquares;
import org.lqf.solve.Progress;
import org.lqf.solve.Samples;
import org.lqf.solve.SubsampledHessian;
import org.lqf.tune.LinearProbe;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.RowNorm;
import org.lqf.tune.TrainingImages;
import org.lqf.tune.TrainingListener;

/**
 * One set of training images, and all methods on it. What they share is computed once, when it is
 * first needed: probe, scale of J, Kronecker factors. Not for several threads.
 */
public final class Contest implements AutoCloseable {

  private static final int MAX_BATCH = 64;
  private static final double MOMENTUM = 0.9;

  /** Beyond this N·C the optimum is found by conjugate gradients. */
  private static final int MOST_GRAM_SIDE = 6000;

  private static final int READERS = 1; // images are in memory

  /** Candidates for the layer decay of {@link Method#LQF}; the first so many are tried. */
  private static final double[] LAYER_DECAYS = {1, 0.7, 0.4, 0.2, 0.55, 0.85};

  /** Candidates for the learning rate of squared error, in units of 1/λmax. */
  private static final double[] SQUARED_ERROR_RATES = {0.5, 2, 0.125, 1, 0.03, 0.25};

  /**
   * Those of cross-entropy: its Hessian is that of squared error times ½ at most, often far less.
   */
  private static final double[] CROSS_ENTROPY_RATES = {4, 16, 8, 1, 32, 0.25};

  private final Engine engine;
  private final Recipe recipe;
  private final ImageDataset images;
  private final Samples samples;
  private final Backbone network; // with the probe as head
  private final LqfConfig config;
  private final Plan plan;
  private final DeviceVector delta;
  private final Map<Loss, Start> starts = new EnumMap<>(Loss.class);

  /** The network where a loss begins, and what depends on it alone. */
  private static final class Start {
    final DeviceVector parameters; // w0
    double rowNorm = Double.NaN;
    @Nullable KroneckerFactors factors;

    Start(DeviceVector parameters) {
      this.parameters = parameters;
    }
  }

  /**
   * Fits the probe and compiles the network with it as head.
   *
   * @param backbone at the input size of the images
   * @param images to train on, in memory
   * @param seed of the order of the images
   */
  public Contest(
      Engine engine,
      Backbone backbone,
      List<String> classes,
      ImageDataset images,
      Recipe recipe,
      long seed)
      throws IOException {
    this.engine = engine;
    this.recipe = recipe;
    this.images = images;
    this.config =
        LqfConfig.defaults().withSeed(seed).withBatch(recipe.batch()).withReaders(READERS);
    int batch = Math.max(MAX_BATCH, recipe.batch());
    this.samples =
        new TrainingImages(
            images, classes.size(), recipe.targetScale(), batch, config, TrainingListener.NONE);
    LinearProbe probe =
        LinearProbe.of(engine, backbone, samples, images.labels(), classes.size(), batch);
    this.network = probe.attach(backbone, recipe.headScale(Loss.SQUARED_ERROR), classes);
    this.plan = engine.compile(network, config.units(network), batch);
    this.delta = engine.vector(network.parameters());
    for (Loss loss : Loss.values()) {
      float[] w0 = probe.attach(backbone, recipe.headScale(loss), classes).w0();
      starts.put(loss, new Start(engine.vector(w0)));
    }
  }

  /** Brings the plan to the start of a loss. */
  private Start begin(Loss loss) {
    Start start = Objects.requireNonNull(starts.get(loss));
    plan.setParameters(start.parameters);
    return start;
  }

  /** Values to try for the hyper-parameter of a method; empty where it has none. */
  public double[] candidates(Method method) throws IOException {
    if (method == Method.PROBE) {
      return new double[0];
    }
    if (method == Method.LQF) {
      return first(LAYER_DECAYS);
    }
    Start start = begin(method.loss);
    double unit;
    try (LeastSquares problem = new LeastSquares(engine, plan, samples, ridge(start))) {
      unit = 1 / LargestEigenvalue.ofBatches(problem, factors(method, start));
    }
    double[] rates =
        first(method.loss == Loss.CROSS_ENTROPY ? CROSS_ENTROPY_RATES : SQUARED_ERROR_RATES);
    return Arrays.stream(rates).map(rate -> unit * rate).toArray();
  }

  private double[] first(double[] values) {
    return Arrays.copyOf(values, Math.min(recipe.budget(), values.length));
  }

  /**
   * Trains from the start and counts mistakes.
   *
   * @param setting learning rate or layer decay, see {@link #candidates}
   * @return share of the tested images that are given a wrong class
   * @throws ArithmeticException if the training diverges
   */
  public double error(Method method, double setting, ImageDataset tested) throws IOException {
    delta.fill(0);
    if (method == Method.LQF) {
      try (Plan decayed =
          engine.compile(network, config.withLayerDecay(setting).units(network), plan.maxBatch())) {
        optimum(decayed);
        return mistakes(decayed, method.model, tested) / (double) tested.size();
      }
    }
    Start start = begin(method.loss);
    if (method != Method.PROBE) {
      double ridge = method.model == Descent.Model.MOVING ? 0 : ridge(start);
      if (method.loss == Loss.CROSS_ENTROPY) {
        ridge /= recipe.targetScale() * recipe.targetScale(); // the unit of the squared error
      }
      int epochs = recipe.epochs(images.size());
      new Descent(
              method.model, method.loss, ridge, MOMENTUM, epochs, Descent.decaying(setting, epochs))
          .run(engine, plan, samples, factors(method, start), delta);
    }
    return mistakes(plan, method.model, tested) / (double) tested.size();
  }

  private int mistakes(Plan plan, Descent.Model model, ImageDataset tested) throws IOException {
    int classes = plan.classes();
    int wrong = 0;
    try (Batches batches = tested.batches(plan.maxBatch(), READERS);
        DeviceVector outputs = engine.vector((long) plan.maxBatch() * classes)) {
      while (batches.hasNext()) {
        Batch batch = batches.next();
        float[] scores = new float[batch.n() * classes];
        if (model == Descent.Model.MOVING) {
          plan.forward(batch.images(), batch.n());
          plan.outputs(outputs);
          outputs.read(scores);
        } else {
          plan.predict(delta, batch.images(), batch.n(), scores);
        }
        for (int i = 0; i < batch.n(); i++) {
          int best = 0;
          for (int c = 1; c < classes; c++) {
            best = scores[i * classes + c] > scores[i * classes + best] ? c : best;
          }
          wrong += best == batch.labels()[i] ? 0 : 1;
        }
      }
    }
    return wrong;
  }

  /** Δ at the optimum for the default ridge. */
  private void optimum(Plan plan) throws IOException {
    double ridge = LqfConfig.DEFAULT_RELATIVE_RIDGE * RowNorm.meanSquare(engine, plan, images);
    try (LeastSquares problem = new LeastSquares(engine, plan, samples, ridge)) {
      if ((long) images.size() * plan.classes() > MOST_GRAM_SIDE) {
        LqfConfig defaults = LqfConfig.defaults();
        int part =
            SubsampledHessian.size(plan.backbone(), plan.linearised().layers(), images.size());
        try (SubsampledHessian hessian =
            part == 0 ? null : SubsampledHessian.of(problem, part, Progress.NONE)) {
          ConjugateGradient cg = new ConjugateGradient(defaults.tolerance(), defaults.iterations());
          if (hessian == null) {
            cg.solve(problem, null, delta, Progress.NONE, Checkpoint.NONE);
          } else {
            cg.solve(hessian, delta, Progress.NONE, Checkpoint.NONE);
          }
        }
      } else {
        GramSolver.solve(problem, delta, Progress.NONE);
      }
    }
  }

  /** λ of the methods that do not search it. */
  private double ridge(Start start) throws IOException {
    return LqfConfig.DEFAULT_RELATIVE_RIDGE * rowNorm(start);
  }

  private double rowNorm(Start start) throws IOException {
    if (Double.isNaN(start.rowNorm)) {
      start.rowNorm = RowNorm.meanSquare(engine, plan, images);
    }
    return start.rowNorm;
  }

  /**
   * Inverted, or null where the method uses none. Both losses have the factors of squared error,
   * each at its own start.
   */
  private @Nullable KroneckerFactors factors(Method method, Start start) throws IOException {
    if (!method.preconditioned) {
      return null;
    }
    if (start.factors == null) {
      KroneckerFactors made = KroneckerFactors.create(plan, Sharing.REDUCE);
      start.factors = made;
      samples.forEach(
          Samples.IN_ORDER,
          (batch, n, targets) -> {
            plan.forward(batch, n);
            made.accumulate(plan);
          });
      made.invert(Damping.exact(LqfConfig.DEFAULT_RELATIVE_DAMPING * ridge(start)));
    }
    return start.factors;
  }

  @Override
  public void close() {
    for (Start start : starts.values()) {
      start.parameters.close();
      if (start.factors != null) {
        start.factors.close();
      }
    }
    plan.close();
    delta.close();
  }
}
