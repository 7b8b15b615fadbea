package org.lqf.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.engine.Engine;
import org.lqf.image.ImageDecoder;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.Classifier;
import org.lqf.predict.Prediction;
import org.lqf.testing.TinyData;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;

class TuneAndServeTest {

  private static final Path PROJECT = Path.of(System.getProperty("basedir", ""));

  private static Prediction tuneAndServe(Path net, Path photos, Path file, BufferedImage image)
      throws IOException {
    // tag::example
    Backbone backbone = Backbone.read(net); // net.json, its weights beside it
    try (Engine engine = Engine.open("auto")) {
      ImageFolder images = ImageFolder.read(photos); // a folder per class
      LqfTrainer.tune(engine, backbone, images, LqfConfig.defaults()).write(file);

      LinearisedModel model = LinearisedModel.read(file);
      try (Classifier classifier = Classifier.open(engine, backbone, model)) {
        Prediction prediction = classifier.classify(image); // from any number of threads
        System.out.println(prediction.label() + " " + prediction.score());
        return prediction;
      }
    }
    // end::example
  }

  @Test
  void runs(@TempDir Path folder) throws IOException {
    Path photos = TinyData.write(folder.resolve("photos"), 10, 1);
    BufferedImage image = ImageDecoder.decode(photos.resolve("test/ankle-boot/000.png"));
    Path file = folder.resolve("photos.lqf");
    Prediction prediction = tuneAndServe(TinyData.network(), photos.resolve("train"), file, image);
    assertEquals("ankle-boot", prediction.label());
    assertEquals(50, LinearisedModel.read(file).fit().samples());
  }

  @Test
  void readmeShowsThisExample() throws IOException {
    String source =
        Files.readString(PROJECT.resolve("src/test/java/org/lqf/examples/TuneAndServeTest.java"));
    int begin = source.indexOf("// tag::example\n") + "// tag::example\n".length();
    String example = source.substring(begin, source.indexOf("// end::example")).stripIndent();
    assertTrue(
        Files.readString(PROJECT.resolve("README.md")).contains("```java\n" + example + "```"),
        () -> "README.md must show exactly this:\n```java\n" + example + "```");
  }
}
