package org.lqf.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.lqf.engine.Goldens;
import org.lqf.model.Backbone;
import org.lqf.model.ParameterBlock;

/** Options: what is accepted, what it means, and what a refusal says. */
class ConfigTest {

  @Test
  void layersAreAllTheLastOrNamed() {
    var network = Goldens.kinds();
    List<String> names = network.blocks().stream().map(block -> block.node()).toList();
    assertEquals(Set.copyOf(names), Layers.parse("all").of(network));
    assertEquals(Set.of("top.conv", "fc"), Layers.parse("last-2").of(network));
    assertEquals(Set.copyOf(names), Layers.parse("last-1000").of(network));
    assertEquals(
        List.of("stem.conv1", "fc"), List.copyOf(Layers.parse("fc, stem.conv1").of(network)));
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> Layers.parse("fc,nothing").of(network));
    assertTrue(e.getMessage().contains("nothing") && e.getMessage().contains("stem.conv1"));
    assertThrows(IllegalArgumentException.class, () -> Layers.parse("fc,,top.conv"));
    assertThrows(IllegalArgumentException.class, () -> Layers.parse(""));
  }

  @Test
  void aLayerHasTheNormOfItsFiltersAsUnitAndDecaysTowardsTheImage() {
    Backbone shape = Goldens.kinds();
    float[] w0 = new float[(int) shape.parameters()];
    List<ParameterBlock> blocks = shape.blocks();
    int head = blocks.size() - 1;
    for (int i = 0; i <= head; i++) { // each filter of layer i has norm 2 to the i mod 3
      ParameterBlock block = blocks.get(i);
      float entry = (float) (Math.pow(2, i % 3) / Math.sqrt(block.in()));
      Arrays.fill(w0, block.weightOffset(), block.biasOffset(), entry);
      Arrays.fill(w0, block.biasOffset(), block.end(), 100);
    }
    Backbone network = shape.withW0(w0);
    LqfConfig config = LqfConfig.defaults().withLayerDecay(1);
    LqfConfig decayed = config.withLayerDecay(0.25);
    for (int i = 0; i <= head; i++) {
      String layer = blocks.get(i).node();
      float norm = i == head ? 1 : (float) Math.pow(2, i % 3);
      assertEquals(norm, config.units(network).byLayer().get(layer), layer);
      assertEquals(
          norm * (float) Math.pow(2, i - head), decayed.units(network).byLayer().get(layer), layer);
    }
    assertEquals(
        "top.conv=" + Math.pow(2, (head - 1) % 3) + ", fc",
        config.withLayers(Layers.parse("last-2")).units(network).toString());
    float[] dead = w0.clone();
    Arrays.fill(dead, blocks.get(0).weightOffset(), blocks.get(0).biasOffset(), 0);
    float unit = config.units(shape.withW0(dead)).byLayer().get(blocks.get(0).node());
    assertTrue(unit > 0 && unit < 1e-9, "a layer of zeros hardly moves");
    assertThrows(IllegalArgumentException.class, () -> config.withLayerDecay(0));
    assertThrows(IllegalArgumentException.class, () -> config.withLayerDecay(1.5));
  }

  @Test
  void solversAreNamed() {
    for (Solver solver : Solver.values()) {
      assertEquals(solver, Solver.of(solver.text()));
    }
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> Solver.of("adam"));
    assertTrue(e.getMessage().contains("cg-kfac"), e::getMessage);
  }

  @Test
  void valuesOutOfRangeAreRefused() {
    LqfConfig defaults = LqfConfig.defaults();
    assertThrows(IllegalArgumentException.class, () -> defaults.withRidge(0));
    assertThrows(IllegalArgumentException.class, () -> defaults.withRidge(Double.NaN));
    assertThrows(IllegalArgumentException.class, () -> defaults.withTargetScale(-1));
    assertThrows(IllegalArgumentException.class, () -> defaults.withDamping(-1));
    assertThrows(IllegalArgumentException.class, () -> defaults.withSize(-1));
    assertThrows(IllegalArgumentException.class, () -> defaults.withEpochs(0));
    assertThrows(IllegalArgumentException.class, () -> defaults.withTolerance(1));
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class,
            () -> defaults.withSolver(Solver.GRAM).withAugment(true));
    assertTrue(e.getMessage().contains("sgd-kfac"), e::getMessage);
    assertEquals(OptionalDouble.of(3), defaults.withRidge(3).ridge());
  }

  private static SolverChoice choice(LqfConfig config, long images, long freeBytes) {
    return SolverChoice.of(
        config,
        images,
        10,
        (int) (images / 5),
        41e6,
        images * images * 2.7e7,
        images * images * 800 <= freeBytes / 2);
  }

  /** What cg took on 40, 100, 300 and 1,000 shipped images, and to other tolerances on the last. */
  @Test
  void usualIterationsAreThoseThatWereSeen() {
    double[][] seen = {
      {8, 5e-4, 93}, {20, 5e-4, 56}, {60, 5e-4, 39}, {200, 5e-4, 21}, {200, 1e-2, 14}, {200, 0.1, 7}
    };
    for (double[] run : seen) {
      LqfConfig config = LqfConfig.defaults().withTolerance(run[1]);
      double usual = SolverChoice.usualIterations(config, (int) run[0], 1e4);
      assertEquals(1, usual / run[2], 0.25, () -> "%.1f for %.0f".formatted(usual, run[2]));
    }
    assertEquals(6, SolverChoice.usualIterations(LqfConfig.defaults(), 0, 6));
    assertEquals(3, SolverChoice.usualIterations(LqfConfig.defaults().withIterations(3), 200, 1e4));
  }

  @Test
  void theFastestSolverIsChosenAndTheReasonGiven() {
    LqfConfig config = LqfConfig.defaults();
    long plenty = 1L << 40;
    assertEquals(Solver.GRAM, choice(config, 50, plenty).solver());
    assertEquals(Solver.CG, choice(config, 3000, plenty).solver());
    assertTrue(choice(config, 3000, plenty).reason().contains("less work"));
    SolverChoice tight = choice(config, 50, 1 << 20);
    assertEquals(Solver.CG, tight.solver());
    assertTrue(tight.reason().contains("memory"), tight::reason);
    assertEquals(Solver.SGD_KFAC, choice(config.withAugment(true), 50, plenty).solver());
    assertEquals(Solver.SGD, choice(config.withSolver(Solver.SGD), 50, plenty).solver());
  }
}
