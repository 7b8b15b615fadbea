package org.lqf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/**
 * What the reader makes of the network "kinds" against PyTorch; see test-data/goldens/README.md.
 */
class GoldenFoldTest {

  private static final Path GOLDENS = Path.of("test-data", "goldens");

  private static Backbone kinds() throws IOException {
    return Backbone.read(GOLDENS.resolve("kinds.json"));
  }

  @Test
  void foldedParametersAreThoseOfPyTorchRoundedOnce() throws IOException {
    double[] folded =
        Safetensors.read(GOLDENS.resolve("kinds-golden.safetensors"))
            .get("folded_parameters")
            .doubles();
    float[] expected = new float[folded.length];
    for (int i = 0; i < folded.length; i++) {
      expected[i] = (float) folded[i];
    }
    assertArrayEquals(expected, kinds().w0());
  }

  @Test
  void blocksAreWhereTheGoldenFactorsExpectThem() throws IOException {
    Safetensors golden = Safetensors.read(GOLDENS.resolve("kinds-golden.safetensors"));
    for (ParameterBlock block : kinds().blocks()) {
      long in = block.in() + 1L;
      assertEquals(List.of(in, in), golden.get("expand." + block.node() + ".A").shape());
      assertEquals(
          List.of((long) block.out(), (long) block.out()),
          golden.get("expand." + block.node() + ".Gamma").shape());
    }
  }

  @Test
  void theGoldenNetworkHasEveryKindOfLayer() throws IOException {
    Set<Class<?>> present =
        TrainableNetwork.read(GOLDENS.resolve("kinds.json")).graph().nodes().stream()
            .map(node -> node.layer().getClass())
            .collect(Collectors.toSet());
    assertEquals(Set.copyOf(Arrays.asList(Layer.class.getPermittedSubclasses())), present);
  }
}
