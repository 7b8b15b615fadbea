package org.lqf.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.OptionalDouble;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.lqf.engine.Goldens;

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
        config, images, 10, 41e6, images * images * 2.7e7, images * images * 800 <= freeBytes / 2);
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
