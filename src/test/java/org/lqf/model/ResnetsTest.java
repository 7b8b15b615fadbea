package org.lqf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.model.LayerTest.refuses;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lqf.engine.DualOracle;

class ResnetsTest {

  /** torchvision's count less one per normalised channel: γ is folded, β is the bias. */
  @ParameterizedTest
  @CsvSource({"18, 11689512, 4800, 1814", "34, 21797672, 8512, 3663"})
  void imagenetNetworksAreTheSizeOfTheirPublishedTwins(
      int depth, long published, int scales, long megaMultiplications) {
    Backbone net = Resnets.imagenet(depth, 0.1f, 1000, 1);
    assertEquals(published - scales, net.parameters());
    assertEquals(new Shape(512, 7, 7), net.shapes().get(net.featureNode()));
    assertEquals(new Shape(64, 112, 112), net.shapes().get("conv1"));
    long multiplications = 0;
    for (ParameterBlock block : net.blocks()) {
      Shape out = net.shapes().get(block.node());
      multiplications += (long) block.out() * block.in() * out.height() * out.width();
    }
    assertEquals(megaMultiplications, multiplications / 1_000_000);
  }

  @ParameterizedTest
  @CsvSource({"20, 269034", "32, 463018", "44, 657002", "56, 850986"})
  void cifarNetworksHaveTheParametersOfTheirPublishedTwins(int depth, long parameters) {
    Backbone net = Resnets.cifar(depth, 0f, 10, 1);
    assertEquals(parameters, net.parameters());
    assertEquals(new Shape(64, 8, 8), net.shapes().get(net.featureNode()));
  }

  @Test
  void theSeedDecidesTheWeights() {
    assertArrayEquals(Resnets.cifar(8, 0, 10, 5).w0(), Resnets.cifar(8, 0, 10, 5).w0());
    assertNotEquals(Resnets.cifar(8, 0, 10, 5).digest(), Resnets.cifar(8, 0, 10, 6).digest());
    // recorded: a network that a benchmark or a test names must not change under it
    assertEquals(
        "9343dbfe73c16513e801e745a79f1a753322950656a908b02fd37d3ba98e00e4",
        Resnets.cifar(8, 0.1f, 10, 5).digest());
  }

  @Test
  void valuesNeitherVanishNorExplodeWithDepth() {
    Backbone net = Resnets.cifar(56, 0.1f, 10, 1).withInputSize(16, 16);
    Random random = new Random(2);
    double[] image = new double[net.input().shape().size()];
    Arrays.setAll(image, i -> random.nextGaussian());
    double norm = 0;
    for (double logit : new DualOracle(net).forward(image)) {
      norm += logit * logit;
    }
    assertTrue(norm > 1e-2 && norm < 1e3, "squared norm of the logits: " + norm);
  }

  @Test
  void refusesDepthsThatDoNotExist() {
    refuses(() -> Resnets.imagenet(50, 0, 10, 1), "18 or 34, got 50");
    refuses(() -> Resnets.cifar(21, 0, 10, 1), "6k + 2", "got 21");
    refuses(() -> Resnets.cifar(2, 0, 10, 1), "at least 8");
    refuses(() -> Resnets.cifar(8, -1, 10, 1), "negative_slope");
    refuses(() -> Resnets.cifar(8, 0, 0, 1), "out_features");
  }
}
