package org.lqf.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.assertClose;
import static org.lqf.engine.Numbers.widen;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.engine.Devices;
import org.lqf.engine.Engine;
import org.lqf.image.ImageDecoder;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.Classifier;
import org.lqf.predict.Prediction;
import org.lqf.testing.TinyData;

/** The whole recipe, images to predictions, on the kernels for GPUs and on the CPU. */
class DevicesAgreeTest {

  private static final int TRAIN = 2;
  private static final int TEST = 2;

  /**
   * Without the layer whose input factor, of side 577, would take most of this test's time; larger
   * ones are the native tests' business.
   */
  private static final Layers SMALLER_FACTORS =
      Layers.parse(
          "conv0,stage1.block0.conv1,stage1.block0.conv2,stage2.block0.conv1,stage2.block0.conv2,"
              + "stage3.block0.conv1,head");

  static Stream<Arguments> cases() {
    return Devices.all()
        .filter(device -> device.equals("emulator") || device.equals("cuda"))
        .flatMap(
            device ->
                Stream.of(Solver.GRAM, Solver.CG_KFAC, Solver.SGD_KFAC)
                    .map(solver -> Arguments.of(device, solver)));
  }

  private record Result(float[] delta, List<Prediction> predictions) {}

  private static Result tune(String device, LqfConfig config, Path photos) throws IOException {
    Backbone net = Backbone.read(TinyData.network());
    List<BufferedImage> images = new ArrayList<>();
    for (String name : TinyData.CLASSES) {
      for (int i = 0; i < TEST; i++) {
        images.add(ImageDecoder.decode(photos.resolve("test/%s/%03d.png".formatted(name, i))));
      }
    }
    try (Engine engine = Engine.open(device, 2)) {
      ImageFolder train = ImageFolder.read(photos.resolve("train"));
      LinearisedModel model = LqfTrainer.tune(engine, net, train, config);
      try (Classifier classifier = Classifier.open(engine, net, model)) {
        return new Result(model.delta(), classifier.classify(images));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void theyEndWithTheSamePredictions(String device, Solver solver, @TempDir Path folder)
      throws IOException {
    Path photos = TinyData.write(folder, TRAIN, TEST);
    LqfConfig config =
        LqfConfig.defaults()
            .withSolver(solver)
            .withLayers(solver == Solver.GRAM ? Layers.ALL : SMALLER_FACTORS)
            .withRate(1e-4) // the measured one would differ in its last bits
            .withEpochs(2)
            .withBatch(5)
            .withIterations(4);
    Result cpu = tune("cpu", config, photos);
    Result other = tune(device, config, photos);
    assertClose(widen(cpu.delta()), other.delta(), 1e-3, "delta");
    for (int i = 0; i < cpu.predictions().size(); i++) {
      Prediction expected = cpu.predictions().get(i);
      Prediction actual = other.predictions().get(i);
      assertEquals(expected.label(), actual.label());
      assertEquals(expected.score(), actual.score(), 1e-2);
    }
    assertTrue(
        cpu.predictions().stream().map(Prediction::label).distinct().count() > 2,
        "not all the same");
  }
}
