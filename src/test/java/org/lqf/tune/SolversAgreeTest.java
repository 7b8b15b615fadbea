package org.lqf.tune;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;
import static org.lqf.engine.Numbers.widen;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.Certificate;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.Classifier;
import org.lqf.predict.Evaluation;

/** The whole recipe on the shipped ResNet-20 and a few of the shipped images, by every solver. */
class SolversAgreeTest {

  private static final Path DATA = Path.of(System.getProperty("basedir", ""), "test-data");
  private static final LqfConfig CONFIG = LqfConfig.defaults().withSize(20).withEpochs(40);

  private static Backbone network() throws IOException {
    return Backbone.read(DATA.resolve("resnet20-leaky0.1-own/resnet20-leaky0.1-own.json"));
  }

  private static ImageFolder train() throws IOException {
    return ImageFolder.read(DATA.resolve("fashion10/train")).limitPerClass(4);
  }

  private static TrainingReport tune(Engine engine, LqfConfig config) throws IOException {
    return LqfTrainer.train(
        engine, network(), train(), config, TrainingListener.NONE, TrainingFiles.NONE);
  }

  private static double accuracy(Engine engine, LinearisedModel model) throws IOException {
    ImageFolder test =
        ImageFolder.readLike(DATA.resolve("fashion10/test"), model.labels()).limitPerClass(20);
    try (Classifier classifier = Classifier.open(engine, network(), model, 50)) {
      return Evaluation.of(classifier, test, Evaluation.Progress.NONE).accuracy();
    }
  }

  @Test
  void conjugateGradientsAndGramGiveTheSameDelta() throws IOException {
    try (Engine engine = Engine.open("cpu")) {
      LqfConfig config = CONFIG.withTolerance(1e-4);
      TrainingReport gram = tune(engine, config.withSolver(Solver.GRAM));
      double[] expected = widen(gram.model().delta());
      TrainingReport cg = tune(engine, config.withSolver(Solver.CG));
      assertClose(expected, cg.model().delta(), 1e-3, "cg");
      TrainingReport kfac = tune(engine, config.withSolver(Solver.CG_KFAC));
      // NOTE: the same gradient norm leaves it farther off, in directions of little curvature
      assertClose(expected, kfac.model().delta(), 0.015, "cg-kfac");
      assertEquals(gram.certificate().loss(), kfac.certificate().loss(), 1e-3);
      double loss = gram.certificate().loss();
      assertEquals(loss, cg.certificate().loss(), 1e-4 * loss);
      assertTrue(gram.certificate().gap() < 1e-2 * loss, gram::toString);
      double accuracy = accuracy(engine, gram.model());
      assertTrue(accuracy > 0.3, "far from chance: " + accuracy);
      assertEquals(accuracy, accuracy(engine, cg.model()), 0.01);
    }
  }

  @Test
  void theGapThatIsKeptIsProvenTrueAndTighterThanThatOfTheGradient() throws IOException {
    try (Engine engine = Engine.open("cpu")) {
      TrainingReport gram = tune(engine, CONFIG.withSolver(Solver.GRAM));
      for (double tolerance : new double[] {0.3, 0.03, 0.003}) {
        TrainingReport cg = tune(engine, CONFIG.withSolver(Solver.CG).withTolerance(tolerance));
        Certificate proven = cg.model().fit().certificate();
        assertEquals(cg.certificate(), proven);
        double above = proven.loss() - gram.certificate().loss();
        assertTrue(above > 0 && above <= proven.gap(), () -> above + " above, " + proven);
        double ofGradient =
            new Certificate(proven.loss(), proven.gradientNorm(), proven.ridge()).gap();
        // What is left at the end is where A knows little more than the ridge.
        double most = tolerance < 0.01 ? 1 : 0.5;
        assertTrue(proven.gap() < most * ofGradient, () -> ofGradient + ", " + proven);
        assertTrue(tolerance > 0.01 || proven.gap() < 0.02 * proven.loss(), proven::toString);
        double[] optimum = widen(gram.model().delta());
        float[] delta = cg.model().delta();
        double squares = 0;
        for (int i = 0; i < delta.length; i++) {
          squares += Math.pow(delta[i] - optimum[i], 2);
        }
        assertTrue(Math.sqrt(squares) <= proven.distance());
      }
    }
  }

  @Test
  void theOptimumDependsOnNeitherSeedNorThreads() throws IOException {
    List<float[]> deltas = new ArrayList<>();
    for (int threads = 1; threads <= 2; threads++) {
      try (Engine engine = Engine.open("cpu", threads)) {
        LqfConfig config = CONFIG.withTolerance(0.01).withSeed(threads).withSolver(Solver.CG);
        deltas.add(tune(engine, config).model().delta());
      }
    }
    assertArrayEquals(deltas.get(0), deltas.get(1));
  }

  @Test
  void theStochasticSolverApproachesTheSameLossWithEverySeed() throws IOException {
    try (Engine engine = Engine.open("cpu")) {
      TrainingReport exact = tune(engine, CONFIG.withSolver(Solver.CG));
      double start = exact.trace().get(0).loss();
      double least = exact.certificate().loss();
      float[] first = {};
      for (long seed = 1; seed <= 2; seed++) {
        LqfConfig config = CONFIG.withSolver(Solver.SGD_KFAC).withSeed(seed).withBatch(8);
        TrainingReport report = tune(engine, config);
        double left = (report.certificate().loss() - least) / (start - least);
        assertTrue(left < 0.4, () -> "part of the way that is left: " + left);
        assertFalse(Arrays.equals(first, report.model().delta()), "another seed, other steps");
        first = report.model().delta();
      }
    }
  }

  @Test
  void augmentedImagesAreTrainedOnByTheStochasticSolver() throws IOException {
    try (Engine engine = Engine.open("cpu")) {
      LqfConfig config = CONFIG.withEpochs(3).withAugment(true);
      TrainingReport report = tune(engine, config);
      assertEquals(Solver.SGD_KFAC, report.solver());
      assertTrue(report.choice().contains("augmented"), report::choice);
      float[] plain =
          tune(engine, config.withAugment(false).withSolver(Solver.SGD_KFAC)).model().delta();
      assertTrue(Arrays.mismatch(plain, report.model().delta()) >= 0, "nothing was changed");
    }
  }

  @Test
  void aFewLayersAndARandomHead() throws IOException {
    try (Engine engine = Engine.open("cpu")) {
      LqfConfig config = CONFIG.withLayers(Layers.parse("last-2")).withHead(Head.RANDOM);
      LinearisedModel model = tune(engine, config.withSeed(5)).model();
      assertEquals(2, model.linearised().layers().size());
      LinearisedModel other = tune(engine, config.withSeed(6)).model();
      assertTrue(Arrays.mismatch(model.headWeight(), other.headWeight()) >= 0);
      // Frozen layers have no displacement: all of delta lies in the last two blocks.
      float[] delta = model.delta();
      assertEquals(0, delta[0]);
      assertNotEquals(0, delta[delta.length - 1]);
    }
  }

  @Test
  void aCheckpointOfAnotherTrainingIsRefused(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("x.checkpoint");
    class Stop extends RuntimeException {
      private static final long serialVersionUID = 1;
    }
    TrainingListener stop =
        new TrainingListener() {
          @Override
          public void step(org.lqf.solve.Progress.Step step) {
            boolean solving = !Double.isNaN(step.loss()); // not the preconditioner's Gram matrix
            if (solving && step.iteration() == 3) {
              throw new Stop();
            }
          }
        };
    try (Engine engine = Engine.open("cpu")) {
      LqfConfig config = CONFIG.withSolver(Solver.CG);
      assertThrows(
          Stop.class,
          () ->
              LqfTrainer.train(
                  engine,
                  network(),
                  train(),
                  config,
                  stop,
                  TrainingFiles.NONE.withCheckpoint(file)));
      assertTrue(Files.exists(file));
      IOException e =
          assertThrows(
              IOException.class,
              () ->
                  LqfTrainer.train(
                      engine,
                      network(),
                      train(),
                      config.withRidge(3),
                      TrainingListener.NONE,
                      TrainingFiles.NONE.withCheckpoint(file)));
      assertTrue(e.getMessage().contains("another training"), e::getMessage);
    }
  }

  @Test
  void storedFactorsGiveTheSameBits(@TempDir Path folder) throws IOException {
    TrainingFiles files = TrainingFiles.NONE.withFactors(folder.resolve("factors.safetensors"));
    List<String> notes = new ArrayList<>();
    TrainingListener listener =
        new TrainingListener() {
          @Override
          public void note(String text) {
            notes.add(text);
          }
        };
    LqfConfig config = CONFIG.withSolver(Solver.CG_KFAC).withIterations(5);
    try (Engine engine = Engine.open("cpu")) {
      TrainingReport first = LqfTrainer.train(engine, network(), train(), config, listener, files);
      assertTrue(notes.stream().noneMatch(note -> note.contains("took the Kronecker factors")));
      TrainingReport second = LqfTrainer.train(engine, network(), train(), config, listener, files);
      assertTrue(notes.stream().anyMatch(note -> note.contains("took the Kronecker factors")));
      assertArrayEquals(first.model().delta(), second.model().delta());
      IOException e =
          assertThrows(
              IOException.class,
              () ->
                  LqfTrainer.train(
                      engine, network(), train(), config.withHead(Head.RANDOM), listener, files));
      assertTrue(e.getMessage().contains("another network, head"), e::getMessage);
    }
  }
}
