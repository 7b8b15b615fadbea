package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.engine.Devices;
import org.lqf.engine.Engine;
import org.lqf.image.ImageDecoder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.Classifier;
import org.lqf.predict.Prediction;

/** {@code lqf tune} of the shipped network on shipped images: the kernels for GPUs and the CPU. */
class TuneOnDevicesTest {

  private static final Path SHIPPED =
      Path.of(System.getProperty("basedir", "")).resolve("test-data").toAbsolutePath();
  private static final Path NETWORK =
      SHIPPED.resolve("resnet20-leaky0.1-own/resnet20-leaky0.1-own.json");
  private static final List<String> CLASSES = List.of("bag", "sneaker", "trouser");
  private static final int IMAGES = 2; // of each class, to train and to test

  @TempDir Path folder;

  static Stream<String> devices() {
    return Devices.all().filter(device -> device.equals("emulator") || device.equals("cuda"));
  }

  private Path copyImages() throws IOException {
    Path data = folder.resolve("photos");
    for (String part : List.of("train", "test")) {
      for (String name : CLASSES) {
        Path target = Files.createDirectories(data.resolve(part).resolve(name));
        for (int i = 1; i <= IMAGES; i++) {
          String file = "%04d.png".formatted(i);
          Files.copy(
              SHIPPED.resolve("fashion10").resolve(part).resolve(name).resolve(file),
              target.resolve(file));
        }
      }
    }
    return data;
  }

  /** Tunes and then classifies the test images, both on the device. */
  private List<Prediction> predictions(String device, Path data) throws IOException {
    Path model = folder.resolve(device + ".lqf");
    Cli.run(
            "tune",
            "--backbone",
            NETWORK,
            "--data",
            data,
            "--device",
            device,
            "--threads",
            2,
            "--quiet",
            "--out",
            model)
        .succeeded();
    List<BufferedImage> images = new ArrayList<>();
    for (String name : CLASSES) {
      for (int i = 1; i <= IMAGES; i++) {
        images.add(ImageDecoder.decode(data.resolve("test/%s/%04d.png".formatted(name, i))));
      }
    }
    try (Engine engine = Engine.open(device, 2);
        Classifier classifier =
            Classifier.open(engine, Backbone.read(NETWORK), LinearisedModel.read(model))) {
      return classifier.classify(images);
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void theShippedNetworkEndsWithThePredictionsOfTheCpu(String device) throws IOException {
    Path data = copyImages();
    List<Prediction> expected = predictions("cpu", data);
    List<Prediction> actual = predictions(device, data);
    for (int i = 0; i < expected.size(); i++) {
      assertEquals(expected.get(i).label(), actual.get(i).label());
      assertEquals(expected.get(i).score(), actual.get(i).score(), 1e-3);
    }
    assertTrue(expected.stream().map(Prediction::label).distinct().count() > 1, "all the same");
  }
}
