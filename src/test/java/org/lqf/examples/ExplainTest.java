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
import org.lqf.explain.Attribution;
import org.lqf.explain.CrossKernel;
import org.lqf.explain.Dual;
import org.lqf.explain.FittedModel;
import org.lqf.explain.Influence;
import org.lqf.explain.LeaveOneOut;
import org.lqf.image.ImageDecoder;
import org.lqf.image.ImageFolder;
import org.lqf.image.ImageTransform;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.Progress;
import org.lqf.testing.TinyData;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;
import org.lqf.tune.TrainingImages;
import org.lqf.tune.TrainingListener;

class ExplainTest {

  private static final Path PROJECT = Path.of(System.getProperty("basedir", ""));

  private static double explain(Backbone backbone, Path file, Path photos, float[] image, int c)
      throws IOException {
    // tag::example
    LinearisedModel model = LinearisedModel.read(file);
    ImageFolder images = ImageFolder.read(photos); // those of the training
    TrainingImages samples =
        TrainingImages.of(model, model.attach(backbone), images, 2, TrainingListener.NONE);
    try (Engine engine = Engine.open("auto");
        FittedModel fitted = FittedModel.open(engine, backbone, model, samples, samples.batch());
        Dual dual = Dual.of(fitted, Progress.NONE)) {
      LeaveOneOut loo = LeaveOneOut.of(dual);
      System.out.println("leave-one-out accuracy " + loo.accuracy());

      double[] kernel = CrossKernel.of(fitted, image); // k(x, X) [classes, images · classes]
      Attribution split = Attribution.of(fitted, dual.alpha(), image, kernel);
      Influence influence = Influence.of(dual, loo, kernel);
      int first = split.ranking(c).get(0); // adds most to output c
      System.out.printf(
          "%s adds %.3f; without it the output is %.3f%n",
          images.images().get(first).relativeName(),
          split.term(first, c),
          split.output()[c] + influence.effect(first, c));
      return split.output()[c];
    }
    // end::example
  }

  @Test
  void runs(@TempDir Path folder) throws IOException {
    Path photos = TinyData.write(folder.resolve("photos"), 10, 1).resolve("train");
    BufferedImage image = ImageDecoder.decode(photos.resolve("bag/003.png"));
    Path file = folder.resolve("photos.lqf");
    Backbone backbone = Backbone.read(TinyData.network());
    try (Engine engine = Engine.open("auto")) {
      LqfTrainer.tune(engine, backbone, ImageFolder.read(photos), LqfConfig.defaults()).write(file);
    }
    LinearisedModel model = LinearisedModel.read(file);
    var input = model.input();
    ImageTransform transform =
        new ImageTransform(
            input.channels(), input.height(), input.width(), input.mean(), input.std());
    int bag = model.labels().indexOf("bag");
    double output = explain(backbone, file, photos, transform.apply(image), bag);
    assertEquals(model.fit().targetScale(), output, model.fit().targetScale() / 2);
  }

  @Test
  void readmeShowsThisExample() throws IOException {
    String source =
        Files.readString(PROJECT.resolve("src/test/java/org/lqf/examples/ExplainTest.java"));
    int begin = source.indexOf("// tag::example\n") + "// tag::example\n".length();
    String example = source.substring(begin, source.indexOf("// end::example")).stripIndent();
    assertTrue(
        Files.readString(PROJECT.resolve("src/main/java/org/lqf/explain/README.md"))
            .contains("```java\n" + example + "```"),
        () -> "the README of explain must show exactly this:\n```java\n" + example + "```");
  }
}
