package org.lqf.tune;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.lqf.curvature.Damping;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.Certificate;
import org.lqf.model.InputSpec;
import org.lqf.model.LayerUnits;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.Checkpoint;
import org.lqf.solve.ConjugateGradient;
import org.lqf.solve.GramSolver;
import org.lqf.solve.LeastSquares;
import org.lqf.solve.Preconditioner;
import org.lqf.solve.Samples;
import org.lqf.solve.Sgd;
import org.lqf.solve.Solution;
import org.lqf.solve.SubsampledHessian;

/** One training from images to model, step by step in the order of the recipe. */
final class Fitting {

  private static final double MOMENTUM = 0.9;

  private final Engine engine;
  private final Backbone sized; // at the training's input size, with the head it came with
  private final ImageFolder folder;
  private final ImageDataset images;
  private final LqfConfig config;
  private final TrainingListener listener;
  private final @Nullable LinearisedModel like; // whose head is taken; null: one of its own
  private final TuningPlan way;

  Fitting(
      Engine engine,
      Backbone backbone,
      ImageFolder folder,
      LqfConfig config,
      TrainingListener listener,
      @Nullable LinearisedModel like)
      throws IOException {
    if (like != null && !folder.classes().equals(like.labels())) {
      throw new IllegalArgumentException(
          "%s has the classes %s, but the model to be like has %s"
              .formatted(folder.root(), folder.classes(), like.labels()));
    }
    if (folder.classes().size() < 2) {
      throw new IllegalArgumentException(
          "%s has one class, \"%s\"; at least two are needed to tell apart"
              .formatted(folder.root(), folder.classes().get(0)));
    }
    InputSpec input = config.input(backbone.input());
    this.engine = engine;
    this.sized = backbone.withInputSize(input.height(), input.width());
    this.folder = folder;
    this.config = config;
    this.listener = listener;
    this.like = like;
    listener.phase("planning");
    this.way = Planner.of(engine, sized, folder, config);
    listener.plan(way);
    listener.phase("reading images");
    this.images = TrainingImages.prepare(folder, input, config.readers(), way.imagesHeld());
  }

  TrainingReport run(TrainingFiles files) throws IOException {
    TrainingImages samples =
        new TrainingImages(
            images, folder.classes().size(), config.targetScale(), way.batch(), config, listener);
    LinearProbe probe = probe(samples);
    Backbone network = withHead(probe);
    LayerUnits units = like == null ? config.units(network) : like.linearised();
    try (Plan plan = engine.compile(network, units, way.batch());
        DeviceVector delta = engine.vector(network.parameters())) {
      double ridge =
          config.ridge().isPresent()
              ? config.ridge().getAsDouble()
              : LqfConfig.DEFAULT_RELATIVE_RIDGE * RowNorm.meanSquare(engine, plan, images);
      String dataDigest = folder.digest();
      double damping = Double.NaN;
      Solution solution;
      try (LeastSquares problem = new LeastSquares(engine, plan, samples, ridge);
          Curvature curvature =
              curvature(way.solver(), problem, samples, files.factors(), dataDigest)) {
        damping = curvature.damping;
        String key = key(ridge, way.solver(), curvature, dataDigest);
        Path checkpoint = files.checkpoint();
        @Nullable CheckpointFile file =
            checkpoint == null ? null : CheckpointFile.open(checkpoint, key);
        if (file != null) {
          file.restore()
              .ifPresent(
                  state ->
                      listener.note("going on after iteration %d".formatted(state.iteration())));
        }
        listener.phase("solving by " + way.solver());
        solution =
            solve(way.solver(), problem, curvature, delta, file == null ? Checkpoint.NONE : file);
      }
      LinearisedModel.Origin origin =
          new LinearisedModel.Origin(
              sized.name(),
              sized.digest(),
              files.backboneHint(),
              dataDigest,
              LinearisedModel.VERSION);
      int classes = folder.classes().size();
      float[] w0 = network.w0();
      int head = network.blocks().get(network.blocks().size() - 1).weightOffset();
      float[] weight = Arrays.copyOfRange(w0, head, w0.length - classes);
      float[] bias = Arrays.copyOfRange(w0, w0.length - classes, w0.length);
      LinearisedModel.Fit fit =
          new LinearisedModel.Fit(
              way.solver().text(),
              config.seed(),
              images.size(),
              solution.iterations(),
              config.targetScale(),
              solution.certificate());
      LinearisedModel model =
          new LinearisedModel(
              origin,
              sized.input(),
              folder.classes(),
              weight,
              bias,
              units,
              delta.toArray(),
              fit,
              TrainingImages.provenance(folder));
      return new TrainingReport(
          model,
          baseline(model, probe),
          way.solver(),
          way.reason(),
          solution.converged(),
          solution.certificate(),
          damping,
          solution.trace());
    }
  }

  private LinearProbe probe(TrainingImages samples) throws IOException {
    listener.phase("linear probe");
    return LinearProbe.of(
        engine, sized, samples, images.labels(), folder.classes().size(), way.batch());
  }

  private Backbone withHead(LinearProbe probe) {
    if (like != null) {
      return sized.withHead(like.headWeight(), like.headBias(), folder.classes());
    }
    if (config.head() == Head.PROBE) {
      return probe.attach(sized, config.targetScale(), folder.classes());
    }
    SplittableRandom random = new SplittableRandom(config.seed());
    float[] weight = new float[probe.weight().length];
    float[] bias = new float[probe.bias().length];
    double deviation = 1 / Math.sqrt((double) weight.length / bias.length);
    for (int i = 0; i < weight.length; i++) {
      weight[i] = (float) (deviation * random.nextGaussian());
    }
    return sized.withHead(weight, bias, folder.classes());
  }

  /** What the solver knows of H beforehand: inverted factors with their damping, or a part of H. */
  private record Curvature(
      @Nullable KroneckerFactors factors, double damping, @Nullable SubsampledHessian part)
      implements AutoCloseable {

    @Nullable Preconditioner preconditioner() {
      return factors != null ? factors::precondition : null;
    }

    @Override
    public void close() {
      if (factors != null) {
        factors.close();
      }
      if (part != null) {
        part.close();
      }
    }
  }

  private Curvature curvature(
      Solver solver,
      LeastSquares problem,
      TrainingImages samples,
      @Nullable Path file,
      String dataDigest)
      throws IOException {
    Plan plan = problem.plan();
    int part =
        solver == Solver.CG
            ? SubsampledHessian.size(plan.backbone(), plan.linearised().layers(), images.size())
            : 0;
    if (part > 0) {
      listener.phase("preconditioner");
      return new Curvature(null, Double.NaN, SubsampledHessian.of(problem, part, listener::step));
    }
    if (!solver.preconditioned()) {
      return new Curvature(null, Double.NaN, null);
    }
    listener.phase("Kronecker factors");
    double damping = config.damping().orElse(LqfConfig.DEFAULT_RELATIVE_DAMPING * problem.ridge());
    KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.REDUCE);
    try {
      Backbone network = plan.backbone(); // its digest covers the head
      String key = String.join(" ", network.digest(), dataDigest, plan.linearised().toString());
      if (file != null && FactorsFile.read(file, key, factors)) {
        listener.note("took the Kronecker factors from " + file);
      } else {
        samples.forEach(
            Samples.IN_ORDER,
            (batchImages, n, targets) -> {
              plan.forward(batchImages, n);
              factors.accumulate(plan);
            });
        if (file != null) {
          FactorsFile.write(file, key, factors);
        }
      }
      factors.invert(Damping.exact(damping));
      return new Curvature(factors, damping, null);
    } catch (RuntimeException | IOException e) {
      factors.close();
      throw e;
    }
  }

  private Solution solve(
      Solver solver,
      LeastSquares problem,
      Curvature curvature,
      DeviceVector delta,
      Checkpoint checkpoint)
      throws IOException {
    return switch (solver) {
      case CG, CG_KFAC -> {
        ConjugateGradient cg = new ConjugateGradient(config.tolerance(), config.iterations());
        yield curvature.part != null
            ? cg.solve(curvature.part, delta, listener::step, checkpoint)
            : cg.solve(problem, curvature.preconditioner(), delta, listener::step, checkpoint);
      }
      case SGD, SGD_KFAC ->
          new Sgd(config.epochs(), config.rate().orElse(Double.NaN), MOMENTUM)
              .solve(problem, curvature.factors, delta, listener::step, checkpoint);
      case GRAM -> GramSolver.solve(problem, delta, listener::step);
      case AUTO -> throw new AssertionError("chosen before");
    };
  }

  /** Everything that decides the result, for the checkpoint. */
  private String key(double ridge, Solver solver, Curvature curvature, String dataDigest) {
    return String.join(
        " ",
        List.of(
            sized.digest(),
            dataDigest,
            config.toString().replaceAll("(readers|memory)=[^,]*, ", ""),
            solver.text(),
            curvature.part == null ? "" : "images apart " + curvature.part.images(),
            Double.toString(ridge),
            like == null ? "" : like.pointDigest()));
  }

  /** The probe as a model: its own head, no displacement. */
  private static LinearisedModel baseline(LinearisedModel model, LinearProbe probe) {
    LinearisedModel.Fit fit =
        new LinearisedModel.Fit(
            "probe",
            model.fit().seed(),
            model.fit().samples(),
            0,
            1,
            new Certificate(0, 0, Math.max(probe.ridge(), Double.MIN_NORMAL)));
    return new LinearisedModel(
        model.origin(),
        model.input(),
        model.labels(),
        probe.weight(),
        probe.bias(),
        model.linearised(),
        new float[model.delta().length],
        fit);
  }
}
