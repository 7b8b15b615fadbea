package org.lqf.solve;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Goldens;
import org.lqf.engine.Plan;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Backbone;
import org.lqf.model.ParameterBlock;

class GramMatrixTest {

  private static final int IMAGES = 7;
  private static final int CLASSES = 3;
  private static final Samples SAMPLES =
      ImageArray.unlabelled(
          Arrays.copyOf(
              GoldenProblem.FILE.get("images").floats(),
              IMAGES * Goldens.kinds().input().shape().size()),
          IMAGES,
          CLASSES,
          IMAGES);

  /** With a head of random weights that sum to 0 over the classes, but for an offset to all. */
  private static Backbone network(float offset) {
    Backbone body = Goldens.kinds();
    int features = body.cutAtFeatures().outputShape().channels();
    float[] weights = new float[CLASSES * features];
    Random random = new Random(3);
    for (int i = 0; i < features; i++) {
      double last = 0;
      for (int c = 0; c < CLASSES; c++) {
        double weight = c == CLASSES - 1 ? -last : random.nextGaussian();
        weights[c * features + i] = (float) weight + offset;
        last += weight;
      }
    }
    return body.withHead(weights, new float[] {1, 2, 3}, List.of());
  }

  private static Set<String> layers(Backbone network, int from, int to) {
    List<String> all = network.blocks().stream().map(ParameterBlock::node).toList();
    return new LinkedHashSet<>(all.subList(from, to));
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void everyEntryIsTheProductOfTwoRowsOfJ(String device) throws IOException {
    int side = IMAGES * CLASSES;
    for (Backbone network : List.of(network(0), network(1e-3f))) {
      int all = network.blocks().size();
      for (Set<String> layers :
          List.of(layers(network, 0, all), layers(network, 0, all - 1), layers(network, 1, all))) {
        try (Engine engine = Engine.open(device, 2)) {
          double[] expected = products(engine, network, layers);
          double[] first = null;
          for (int batch : new int[] {IMAGES, 2, 1}) {
            try (Plan plan = engine.compile(network, layers, batch);
                SymmetricMatrix matrix = GramMatrix.of(engine, plan, SAMPLES, Progress.NONE)) {
              double[] k = matrix.toArray();
              for (int i = 0; i < side; i++) {
                for (int j = 0; j < side; j++) {
                  double scale = Math.sqrt(expected[i * side + i] * expected[j * side + j]);
                  assertEquals(expected[i * side + j], k[i * side + j], 4e-6 * scale);
                  assertEquals(k[i * side + j], k[j * side + i], "the mirror image");
                }
              }
              first = first == null ? k : first;
              assertArrayEquals(first, k, "tiles of " + batch + " images");
            }
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void aCrossGramIsABlockOfTheMatrix(String device) throws IOException {
    int few = 3; // images x, the first of all
    int side = IMAGES * CLASSES;
    for (Backbone network : List.of(network(0), network(1e-3f))) {
      Set<String> layers = layers(network, 0, network.blocks().size());
      try (Engine engine = Engine.open(device, 2)) {
        double[] expected = products(engine, network, layers);
        double[] first = null;
        for (int batch : new int[] {IMAGES, 2, 1}) {
          try (Plan plan = engine.compile(network, layers, batch)) {
            CrossGram kernel = new CrossGram(engine, plan, SAMPLES);
            assertTrue(kernel.images() >= few);
            double[] own = new double[few * CLASSES * CLASSES];
            double[] cross = kernel.of(images(0, few), few, own);
            for (int i = 0; i < few * CLASSES; i++) {
              for (int j = 0; j < side; j++) {
                double scale = Math.sqrt(expected[i * side + i] * expected[j * side + j]);
                assertEquals(expected[i * side + j], cross[i * side + j], 4e-6 * scale);
                if (i / CLASSES == j / CLASSES) {
                  double block = own[i * CLASSES + j % CLASSES];
                  assertEquals(expected[i * side + j], block, 4e-6 * scale);
                }
              }
            }
            double[] last = new double[CLASSES * CLASSES];
            double[] alone = kernel.of(images(few - 1, few), 1, last);
            assertArrayEquals(
                Arrays.copyOfRange(cross, cross.length - alone.length, cross.length), alone);
            assertArrayEquals(Arrays.copyOfRange(own, own.length - last.length, own.length), last);
            first = first == null ? cross : first;
            assertArrayEquals(first, cross, "batches of " + batch + " images");
          }
        }
      }
    }
  }

  @Test
  void itHoldsAsManyBytesAsItSays() throws IOException {
    Set<String> layers = layers(network(0), 0, network(0).blocks().size());
    for (Backbone network : List.of(balanced(2), balanced(CLASSES), network(1e-3f))) {
      int classes = network.outputShape().channels();
      Samples samples = ImageArray.unlabelled(images(0, IMAGES), IMAGES, classes, IMAGES);
      for (int batch : new int[] {IMAGES, 1}) {
        try (Engine engine = Engine.open("cpu", 1);
            Plan plan = engine.compile(network, layers, batch)) {
          GramMatrix.of(engine, plan, samples, Progress.NONE).close(); // the thread's scratch
          long before = engine.memoryBytes();
          long[] most = {0};
          Progress watch = s -> most[0] = Math.max(most[0], engine.memoryBytes() - before);
          GramMatrix.of(engine, plan, samples, watch).close();
          long told = GramMatrix.bytes(network, layers, IMAGES, batch);
          assertEquals(told, GramMatrix.bytes(plan, IMAGES));
          assertTrue(most[0] <= told, most[0] + " bytes held, " + told + " told");
          assertTrue(most[0] >= 0.95 * told, most[0] + " bytes held, " + told + " told");
        }
      }
    }
  }

  /** With a head of zeros. */
  private static Backbone balanced(int classes) {
    int features = Goldens.kinds().cutAtFeatures().outputShape().channels();
    return Goldens.kinds().withHead(new float[classes * features], new float[classes], List.of());
  }

  private static float[] images(int from, int to) {
    float[] all = ((ImageArray) SAMPLES).images();
    int size = all.length / IMAGES;
    return Arrays.copyOfRange(all, from * size, to * size);
  }

  /** In double, of all rows of J in single precision. */
  private static double[] products(Engine engine, Backbone network, Set<String> layers) {
    int side = IMAGES * CLASSES;
    int length = Math.toIntExact(network.parameters());
    try (Plan plan = engine.compile(network, layers, IMAGES);
        DeviceVector rows = engine.vector((long) side * length)) {
      plan.forward(((ImageArray) SAMPLES).images(), IMAGES);
      plan.jacobian(rows);
      float[] j = rows.toArray();
      double[] k = new double[side * side];
      for (int a = 0; a < side; a++) {
        for (int b = 0; b < side; b++) {
          for (int p = 0; p < length; p++) {
            k[a * side + b] += (double) j[a * length + p] * j[b * length + p];
          }
        }
      }
      return k;
    }
  }

  @Test
  void ofABalancedHeadOtherLayersAreComputedForAllClassesButOne() {
    Backbone balanced = network(0);
    Backbone other = network(1e-3f);
    assertTrue(balanced.balancedHead().isPresent());
    assertTrue(other.balancedHead().isEmpty());
    int all = balanced.blocks().size();
    assertEquals(List.of(CLASSES - 1, CLASSES), classes(balanced, layers(balanced, 0, all)));
    assertEquals(List.of(CLASSES - 1), classes(balanced, layers(balanced, 0, all - 1)));
    assertEquals(List.of(CLASSES), classes(balanced, layers(balanced, all - 1, all)));
    assertEquals(List.of(CLASSES), classes(other, layers(other, 0, all)));
  }

  /** Of each part whose layers are taken together, without repetitions. */
  private static List<Integer> classes(Backbone network, Set<String> layers) {
    return GramMatrix.parts(network, layers, network.balancedHead(), network.parameters()).stream()
        .map(GramMatrix.Part::classes)
        .distinct()
        .toList();
  }

  @Test
  void parametersThatWereMovedHaveAllRows() throws IOException {
    Backbone other = network(1);
    Set<String> layers = layers(other, 0, other.blocks().size());
    try (Engine engine = Engine.open("cpu", 1);
        Plan plan = engine.compile(network(0), layers, IMAGES);
        DeviceVector parameters = engine.vector(other.w0())) {
      plan.setParameters(parameters);
      double[] expected = products(engine, other, layers);
      try (SymmetricMatrix matrix = GramMatrix.of(engine, plan, SAMPLES, Progress.NONE)) {
        double[] k = matrix.toArray();
        for (int i = 0; i < k.length; i++) {
          assertEquals(expected[i], k[i], 1e-5 * Math.abs(expected[i]) + 1e-3);
        }
      }
    }
  }

  @Test
  void oneClassHasNoOtherThatItFollowsFrom() {
    Backbone body = Goldens.kinds();
    int features = body.cutAtFeatures().outputShape().channels();
    assertTrue(
        body.withHead(new float[features], new float[1], List.of()).balancedHead().isEmpty());
    float[] two = new float[2 * features];
    IntStream.range(0, features).forEach(i -> two[features + i] = -(two[i] = i));
    assertTrue(body.withHead(two, new float[2], List.of()).balancedHead().isPresent());
  }
}
