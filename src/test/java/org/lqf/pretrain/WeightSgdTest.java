package org.lqf.pretrain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Numbers;
import org.lqf.engine.Plan;
import org.lqf.image.Batch;
import org.lqf.image.ImageDataset;
import org.lqf.model.Safetensors;
import org.lqf.model.TrainableNetwork;
import org.lqf.solve.Checkpoint;
import org.lqf.solve.Progress;
import org.lqf.tune.TrainingListener;

/** Training against PyTorch in double precision; test-data/goldens/README.md, pretrain5. */
class WeightSgdTest {

  private static final double BOUND = 1e-5;
  private static final Path GOLDENS =
      Path.of(System.getProperty("basedir", ""), "test-data", "goldens");

  private final Safetensors golden;
  private final TrainableNetwork start;
  private final ImageDataset images;

  WeightSgdTest() throws IOException {
    golden = Safetensors.read(GOLDENS.resolve("pretrain5.safetensors"));
    start =
        TrainableNetwork.read(GOLDENS.resolve("kinds.json"))
            .with(golden.get("initial").floats(), golden.get("statistics.initial").floats());
    int[] labels = Arrays.stream(golden.get("labels").longs()).mapToInt(i -> (int) i).toArray();
    images = ImageDataset.of(golden.get("images").floats(), labels, 3, 13, 11);
  }

  private double setting(String name) {
    return Double.parseDouble(golden.metadata().get(name));
  }

  /** All images in every step: their order means nothing but rounding. */
  private SgdConfig config(int batch, boolean augment) {
    return new SgdConfig(
        (int) setting("steps"),
        batch,
        setting("rate"),
        Schedule.CONSTANT,
        setting("momentum"),
        true,
        setting("weight_decay"),
        augment,
        1,
        7);
  }

  private WeightSgd.Trained train(Engine engine, SgdConfig config, Checkpoint checkpoint)
      throws IOException {
    return WeightSgd.train(
        engine,
        start,
        images,
        Objective.crossEntropy(4),
        config,
        TrainingListener.NONE,
        checkpoint);
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void theFirstGradientIsTorchs(String device) {
    int n = images.size();
    try (Engine engine = Engine.open(device);
        Plan plan = engine.compile(start.graph(), n);
        DeviceVector out = engine.vector(n * 4);
        DeviceVector gradient = engine.vector(plan.parameters())) {
      plan.forward(golden.get("images").floats(), n);
      plan.outputs(out);
      float[] outputs = out.toArray();
      assertClose(golden.get("outputs").doubles(), outputs, BOUND, "outputs");
      float[] cotangent = new float[outputs.length];
      int[] all = {0, 1, 2, 3, 4, 5};
      double loss =
          Objective.crossEntropy(4)
              .cotangent(
                  new Batch(golden.get("images").floats(), images.labels(), all),
                  outputs,
                  cotangent);
      assertEquals(golden.get("losses").doubles()[0], loss / n, 1e-6);
      plan.vjp(out.write(cotangent), gradient);
      assertClose(golden.get("gradient").doubles(), gradient.toArray(), BOUND, "gradient");
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void fiveStepsEndWhereTorchsEnd(String device) throws IOException {
    try (Engine engine = Engine.open(device)) {
      WeightSgd.Trained trained = train(engine, config(images.size(), false), Checkpoint.NONE);
      assertClose(
          golden.get("final").doubles(), trained.network().graph().w0(), BOUND, "parameters");
      double[] moved = golden.get("final").doubles();
      double[] initial = golden.get("initial").doubles();
      double[] ours = Numbers.widen(trained.network().graph().w0());
      for (int i = 0; i < moved.length; i++) {
        moved[i] -= initial[i];
        ours[i] -= initial[i];
      }
      assertClose(moved, ours, 10 * BOUND, "way");
      assertClose(
          golden.get("statistics.final").doubles(),
          trained.network().statistics(),
          BOUND,
          "statistics");
      double[] losses = trained.trace().stream().mapToDouble(Progress.Step::loss).toArray();
      assertClose(golden.get("losses").doubles(), losses, BOUND, "losses");
      assertEquals(5, trained.steps());
    }
  }

  /** Keeps every state, and begins with one of them. */
  private record Memory(List<State> states, Optional<State> restore) implements Checkpoint {
    @Override
    public void offer(Supplier<State> state) {
      states.add(state.get());
    }
  }

  @Test
  void aResumedTrainingEndsWithTheSameBitsOnAnyNumberOfThreads() throws IOException {
    SgdConfig config = config(2, true);
    Memory memory = new Memory(new ArrayList<>(), Optional.empty());
    TrainableNetwork whole;
    try (Engine engine = Engine.open("cpu", 1)) {
      whole = train(engine, config, memory).network();
    }
    assertEquals(5, memory.states.size());
    for (int interrupted : new int[] {1, 4}) {
      Memory rest = new Memory(new ArrayList<>(), Optional.of(memory.states.get(interrupted - 1)));
      try (Engine engine = Engine.open("cpu", 3)) {
        WeightSgd.Trained resumed = train(engine, config, rest);
        assertEquals(5 - interrupted, resumed.trace().size());
        assertArrayEquals(whole.graph().w0(), resumed.network().graph().w0());
        assertArrayEquals(whole.statistics(), resumed.network().statistics());
      }
    }
    assertNotEquals(start.folded().digest(), whole.folded().digest());
  }

  @Test
  void saysWhatIsWrong() {
    try (Engine engine = Engine.open("cpu", 1)) {
      String few =
          assertThrows(
                  IllegalArgumentException.class,
                  () -> train(engine, config(7, false), Checkpoint.NONE))
              .getMessage();
      assertTrue(few.contains("a batch of 7 needs as many images, there are 6"), few);
      SgdConfig wild = new SgdConfig(30, 6, 1e6, Schedule.CONSTANT, 0.9, true, 1, false, 1, 1);
      String diverged =
          assertThrows(ArithmeticException.class, () -> train(engine, wild, Checkpoint.NONE))
              .getMessage();
      assertTrue(diverged.contains("diverged in epoch"), diverged);
      assertTrue(diverged.contains("use a smaller one"), diverged);
    }
  }

  @Test
  void schedulesBeginAndEndWhereTheySay() {
    assertEquals(0.1, Schedule.COSINE.at(0, 100), 1e-12);
    assertEquals(1, Schedule.COSINE.at(9, 100), 1e-12);
    assertEquals(0.5, Schedule.COSINE.at(55, 100), 1e-12);
    assertTrue(Schedule.COSINE.at(99, 100) < 1e-3);
    assertEquals(1, Schedule.COSINE.at(0, 3), 1e-12);
    assertEquals(1, Schedule.STEP.at(49, 100));
    assertEquals(0.1, Schedule.STEP.at(50, 100));
    assertEquals(0.01, Schedule.STEP.at(75, 100));
    assertEquals(1, Schedule.CONSTANT.at(99, 100));
  }
}
