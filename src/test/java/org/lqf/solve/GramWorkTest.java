package org.lqf.solve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.lqf.model.Backbone;
import org.lqf.model.Macs;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Resnets;

class GramWorkTest {

  private static final int CLASSES = 10;
  private static final Backbone SMALL = Resnets.cifar(8, 0.1f, CLASSES, 1);
  private static final Backbone LARGE = Resnets.imagenet(18, 0.1f, CLASSES, 1);

  private static Set<String> last(Backbone network, int count) {
    List<String> all = network.blocks().stream().map(ParameterBlock::node).toList();
    return new LinkedHashSet<>(all.subList(all.size() - count, all.size()));
  }

  private static Set<String> all(Backbone network) {
    return last(network, network.blocks().size());
  }

  @Test
  void theHeadAloneIsAForwardPassItsRowsAndTheMatrix() {
    int images = 20;
    double head = 64 * CLASSES;
    double side = images * CLASSES;
    double row = head + 64 * (head + CLASSES); // its gradient, and writing it
    GramWork work = GramWork.of(SMALL, last(SMALL, 1), images, images);
    assertEquals(
        images * (Macs.of(SMALL) + CLASSES * row) + 4 * side * side * side / 6,
        work.network(),
        1e-9 * work.network());
    assertEquals(
        (head + CLASSES) * (side * side / 2 + 2 * 32 * side), work.products(), 1e-9 * side * side);
    assertEquals(work.network() + work.products(), work.multiplyAdds());
  }

  @Test
  void aWalkBackForTheLastLayersIsShort() {
    double all = GramWork.of(LARGE, all(LARGE), 8, 8).network();
    double last = GramWork.of(LARGE, last(LARGE, 6), 8, 8).network();
    long parameters = 0;
    for (ParameterBlock block : LARGE.blocks()) {
      parameters += last(LARGE, 6).contains(block.node()) ? block.size() : 0;
    }
    assertTrue(parameters > LARGE.parameters() / 2, "most parameters are there");
    assertTrue(last < 0.4 * all, () -> "%.3g of %.3g".formatted(last, all));
  }

  @Test
  void aBalancedHeadSavesTheRowsOfAClass() {
    for (int classes : new int[] {2, 10}) {
      Backbone other = Resnets.cifar(8, 0.1f, classes, 1);
      Backbone balanced = other.withHead(new float[64 * classes], new float[classes], List.of());
      double saved = 1.0 / classes;
      GramWork whole = GramWork.of(other, all(other), 200, 200);
      GramWork less = GramWork.of(balanced, all(other), 200, 200);
      assertEquals(1 - saved, less.network() / whole.network(), 0.25 * saved);
      assertEquals((1 - saved) * (1 - saved), less.products() / whole.products(), 0.1);
    }
  }

  @Test
  void rowsThatDoNotFitAreComputedAnewAndReadAnew() {
    GramWork together = GramWork.of(SMALL, all(SMALL), 64, 64);
    GramWork turns = GramWork.of(SMALL, all(SMALL), 64, 1); // has room for few rows
    assertTrue(turns.network() > 3 * together.network(), () -> turns + " " + together);
    assertTrue(turns.products() > 2 * together.products(), () -> turns + " " + together);
    double doubled =
        GramWork.of(LARGE, all(LARGE), 128, 64).network()
            / GramWork.of(LARGE, all(LARGE), 64, 64).network();
    assertTrue(doubled > 2.5, () -> "twice the images, %.1f times the work".formatted(doubled));
  }

  @Test
  void aFifthOfTheImagesPreconditionUnlessThatCostsTooMuch() {
    assertEquals(0, SubsampledHessian.size(SMALL, all(SMALL), 4));
    assertEquals(10, SubsampledHessian.size(SMALL, all(SMALL), 50));
    assertEquals(2048 / CLASSES, SubsampledHessian.size(SMALL, all(SMALL), 1_000_000));
    int part = SubsampledHessian.size(LARGE, all(LARGE), 1000);
    double tenPasses = 10 * 1000 * 5 * Macs.of(LARGE);
    assertTrue(GramWork.of(LARGE, all(LARGE), part, part).multiplyAdds() <= tenPasses);
    assertTrue(GramWork.of(LARGE, all(LARGE), 2 * part, 2 * part).multiplyAdds() > tenPasses);
  }
}
