package org.lqf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.model.LayerTest.refuses;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TrainableNetworkTest {

  private static final Path KINDS = Path.of("test-data", "goldens", "kinds.json");

  private static TrainableNetwork random(String name, float slope) {
    TrainableNetwork fresh = Resnets.trainable(name, slope, List.of("a", "b", "c"), 1);
    Random random = new Random(2);
    float[] parameters = fresh.graph().w0();
    float[] statistics = fresh.statistics();
    for (int i = 0; i < parameters.length; i++) {
      parameters[i] += 0.1f * (float) random.nextGaussian();
    }
    for (int i = 0; i < statistics.length; i++) {
      statistics[i] += 0.5f * random.nextFloat();
    }
    return fresh.with(parameters, statistics);
  }

  @Test
  void foldedIsWhatTheReaderFolds() throws IOException {
    Backbone read = Backbone.read(KINDS);
    TrainableNetwork kept = TrainableNetwork.read(KINDS);
    assertEquals(read.digest(), kept.folded().digest());
    assertTrue(kept.graph().parameters() > read.parameters());
    assertTrue(kept.statistics().length > 0);
  }

  @Test
  void filesBringBackEveryBit(@TempDir Path folder) throws IOException {
    TrainableNetwork network = random("resnet8", 0.1f);
    Path file = folder.resolve("net.json");
    network.write(file);
    TrainableNetwork again = TrainableNetwork.read(file);
    assertEquals(network.graph().digest(), again.graph().digest());
    assertArrayEquals(network.graph().w0(), again.graph().w0());
    assertArrayEquals(network.statistics(), again.statistics());
    Backbone folded = Backbone.read(file);
    assertEquals(network.folded().digest(), folded.digest());
    assertEquals(List.of("a", "b", "c"), folded.classNames());
    assertTrue(folded.nodes().stream().noneMatch(n -> n.layer() instanceof Layer.BatchNorm2d));
  }

  @Test
  void aPartComesOutAndGoesBackIn() {
    TrainableNetwork whole = random("resnet8", 0f);
    TrainableNetwork part = whole.cutAtFeatures();
    assertEquals(new Shape(64, 1, 1), part.graph().outputShape());
    assertEquals(whole.folded().cutAtFeatures().digest(), part.folded().digest());
    TrainableNetwork fresh = Resnets.trainable("resnet8", 0f, List.of("a", "b", "c"), 1);
    TrainableNetwork merged = fresh.with(part);
    assertArrayEquals(whole.statistics(), merged.statistics());
    float[] expected = whole.graph().w0();
    ParameterBlock head = whole.graph().blocks().get(whole.graph().blocks().size() - 1);
    System.arraycopy(
        fresh.graph().w0(), head.weightOffset(), expected, head.weightOffset(), head.size());
    assertArrayEquals(expected, merged.graph().w0());
  }

  @Test
  void reluBecomesLeakyAndNothingElseChanges() {
    TrainableNetwork relu = random("resnet8", 0f);
    TrainableNetwork leaky = relu.withSlope(0.1f);
    assertTrue(
        leaky.graph().nodes().stream()
            .allMatch(
                node -> !(node.layer() instanceof Layer.LeakyRelu layer) || layer.slope() == 0.1f));
    assertArrayEquals(relu.graph().w0(), leaky.graph().w0());
    assertEquals(relu.graph().nodes().size(), leaky.graph().nodes().size());
    assertNotEquals(relu.folded().digest(), leaky.folded().digest());
    refuses(() -> leaky.withSlope(0.2f), "expected a network with ReLU", "resnet8");
    refuses(() -> relu.withSlope(0), "a slope above 0");
  }

  /** The published numbers count no biases in front of a batch norm; ours are zero there. */
  @ParameterizedTest
  @CsvSource({"resnet20, 10, 272474", "resnet18, 1000, 11689512"})
  void networksHaveTheParametersOfTheirPublishedTwins(String name, int classes, long published) {
    List<String> names = Arrays.stream(new int[classes]).mapToObj(i -> "c").toList();
    Backbone graph = Resnets.trainable(name, 0.1f, names, 1).graph();
    long biases = 0;
    for (Node node : graph.nodes()) {
      biases += node.layer() instanceof Layer.Conv2d conv ? conv.outChannels() : 0;
    }
    assertEquals(published, graph.parameters() - biases);
  }

  @Test
  void refusesWhatDoesNotFit() {
    TrainableNetwork network = random("resnet8", 0f);
    refuses(() -> new TrainableNetwork(network.graph(), new float[3]), "running statistics, got 3");
    refuses(() -> Resnets.trainable("vgg16", 0, List.of("a"), 1), "unknown architecture \"vgg16\"");
    refuses(() -> Resnets.trainable("resnet21", 0, List.of("a"), 1), "6k + 2", "got 21");
    Backbone first =
        new Backbone(
            "norm first",
            InputSpec.raw(3, 4, 4),
            List.of(
                new Node("norm", new Layer.BatchNorm2d(3, 1e-5), Node.INPUT),
                new Node("fc", new Layer.Linear(48, 2), "norm")),
            "fc",
            "norm",
            List.of(),
            new float[6 + 2 * 49]);
    refuses(() -> new TrainableNetwork(first, new float[6]), "cannot be folded");
  }
}
