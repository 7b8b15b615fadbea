package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lqf.engine.Engine;
import org.lqf.model.Backbone;
import org.lqf.model.Certificate;
import org.lqf.model.LinearisedModel;
import org.lqf.testing.TinyData;

class TuneCommandTest {

  /** The names that scripts may rely on. */
  private static final List<String> STABLE =
      List.of(
          "testAccuracy",
          "probeAccuracy",
          "trainLoss",
          "gradientNorm",
          "certifiedGap",
          "iterations",
          "solver",
          "seconds",
          "peakMemoryBytes",
          "seed",
          "threads",
          "device",
          "backboneDigest",
          "dataDigest");

  @TempDir static Path shared;
  static Path data;

  @TempDir Path folder;

  @BeforeAll
  static void writeImages() throws IOException {
    data = TinyData.write(shared, 10, 20);
  }

  @Test
  void tunesTestsAndWritesModelAndMetrics() throws IOException {
    Path out = folder.resolve("tiny.lqf");
    Path metrics = folder.resolve("m.json");
    Cli run =
        Cli.tune(data, "--out", out, "--metrics-json", metrics, "--seed", 7, "--threads", 2)
            .succeeded();

    JsonNode json = Cli.read(Files.readString(metrics));
    List<String> names = new ArrayList<>();
    json.fieldNames().forEachRemaining(names::add);
    assertTrue(names.containsAll(STABLE), () -> names + " lacks some of " + STABLE);
    LinearisedModel model = LinearisedModel.read(out);
    Certificate proven = model.fit().certificate();
    assertEquals(proven.loss(), json.get("trainLoss").doubleValue());
    assertEquals(proven.gradientNorm(), json.get("gradientNorm").doubleValue());
    assertEquals(proven.gap(), json.get("certifiedGap").doubleValue());
    assertEquals(model.fit().iterations(), json.get("iterations").intValue());
    assertEquals(model.fit().solver(), json.get("solver").textValue());
    assertEquals(7, json.get("seed").longValue());
    assertEquals(2, json.get("threads").intValue());
    assertEquals("cpu", json.get("device").textValue());
    String digest = Backbone.read(TinyData.network()).digest();
    assertEquals(digest, json.get("backboneDigest").textValue());
    assertEquals(model.origin().dataDigest(), json.get("dataDigest").textValue());
    assertEquals(100, json.get("testImages").intValue());
    assertTrue(json.get("seconds").doubleValue() > 0);
    assertTrue(json.get("peakMemoryBytes").longValue() > 10_000_000, "a JVM takes more");
    // 50 images, classes the network has not seen; guessing gives 0.2.
    double accuracy = json.get("testAccuracy").doubleValue();
    double probe = json.get("probeAccuracy").doubleValue();
    assertTrue(accuracy > 0.7 && probe > 0.5, () -> accuracy + ", probe " + probe);

    assertTrue(run.out().contains("all               100"), run.out());
    assertTrue(run.out().contains("%.1f %%".formatted(100 * accuracy)), run.out());
    assertTrue(run.out().contains("%.1f %%".formatted(100 * probe)), run.out());
    for (String name : TinyData.CLASSES) {
      assertTrue(run.out().contains("\n" + name + " "), run.out());
    }
    assertTrue(run.out().contains("most confused"), run.out());
    assertTrue(run.out().contains("certified gap"), run.out());
    assertTrue(run.out().contains("; auto took " + Engine.choice()), run.out());
    assertTrue(run.out().endsWith("wrote " + out + System.lineSeparator()), run.out());
    assertFalse(Files.exists(folder.resolve("tiny.lqf.checkpoint")), "it is done with");
  }

  @ParameterizedTest
  @CsvSource({"gram", "cg", "cg-kfac", "sgd", "sgd-kfac"})
  void sameSeedGivesSameFileWithOneThreadAndTwo(String solver) throws IOException {
    Path images = data.resolve("train"); // testing changes no file
    Path one = folder.resolve("one.lqf");
    Path two = folder.resolve("two.lqf");
    Path again = folder.resolve("again.lqf");
    Object[] options = {"--solver", solver, "--epochs", 2, "--iterations", 10, "--seed", 3};
    Cli.tune(images, append(options, "--out", one, "--threads", 1)).succeeded();
    Cli.tune(images, append(options, "--out", two, "--threads", 2)).succeeded();
    Cli.tune(images, append(options, "--out", again, "--threads", 2)).succeeded();
    assertArrayEquals(Files.readAllBytes(one), Files.readAllBytes(two));
    assertArrayEquals(Files.readAllBytes(two), Files.readAllBytes(again));
  }

  private static Object[] append(Object[] first, Object... more) {
    List<Object> all = new ArrayList<>(List.of(first));
    all.addAll(List.of(more));
    return all.toArray();
  }

  @Test
  void optionsReachTheTraining() throws IOException {
    Path out = folder.resolve("tiny.lqf");
    Cli.tune(
            data.resolve("train"),
            append(
                new Object[] {"--out", out, "--size", 20, "--solver", "SGD-KFAC", "--epochs", 2},
                "--ridge",
                0.5,
                "--damping",
                3,
                "--target-scale",
                4,
                "--head",
                "random",
                "--linearise",
                "last-2",
                "--batch",
                8,
                "--learning-rate",
                0.01,
                "--augment",
                "--limit-per-class",
                4,
                "--device",
                "reference"))
        .succeeded();
    LinearisedModel model = LinearisedModel.read(out);
    assertEquals(20, model.input().width());
    assertEquals("sgd-kfac", model.fit().solver());
    assertEquals(2, model.fit().iterations());
    assertEquals(0.5, model.fit().ridge());
    assertEquals(4, model.fit().targetScale());
    assertEquals(20, model.fit().samples());
    assertEquals(2, model.linearised().layers().size());
    assertTrue(model.linearised().layers().contains("head"));
  }

  @Test
  void holdoutSetsImagesOfEveryClassAside() throws IOException {
    Path metrics = folder.resolve("m.json");
    Cli.tune(data.resolve("train"), "--holdout", 0.3, "--metrics-json", metrics).succeeded();
    JsonNode json = Cli.read(Files.readString(metrics));
    assertEquals(35, json.get("trainImages").intValue());
    assertEquals(15, json.get("testImages").intValue());
    assertEquals(3, json.get("perClass").get(0).get("images").intValue());
  }

  @Test
  void withoutTestImagesSaysSoAndGivesNull() throws IOException {
    Path metrics = folder.resolve("m.json");
    Cli run = Cli.tune(data.resolve("train"), "--metrics-json", metrics).succeeded();
    assertTrue(run.out().contains("no test images; give --test DIR or --holdout 0.2"), run.out());
    assertTrue(run.out().contains("not saved; --out FILE.lqf would"), run.out());
    JsonNode json = Cli.read(Files.readString(metrics));
    for (String name : List.of("testAccuracy", "probeAccuracy", "gain", "perClass")) {
      assertTrue(json.has(name) && json.get(name).isNull(), name + " is " + json.get(name));
    }
  }

  @Test
  void tellsWhatWasPassedOverAndHowFarItIs() throws IOException {
    Path images = TinyData.write(folder.resolve("images"), 3, 1);
    Files.writeString(images.resolve("train/bag/notes.txt"), "no image");
    Files.createDirectory(images.resolve("train/empty"));
    Cli run =
        Cli.run("tune", "--backbone", TinyData.network(), "--data", images, "--solver", "gram");
    assertEquals(0, run.code(), run.err());
    String train = images.resolve("train").toString();
    for (String expected :
        List.of(
            "lqf: " + train + ": bag/notes.txt: not an image, not used",
            "lqf: " + train + ": empty/: no images inside, so it is no class",
            "lqf: solver gram: asked for",
            "lqf: reading images",
            "lqf: solving by gram",
            "lqf: testing the linear probe")) {
      assertTrue(run.err().contains(expected + System.lineSeparator()), run.err());
    }
  }

  @Test
  void keepsAnExistingModelWithoutForce() throws IOException {
    Path out = folder.resolve("tiny.lqf");
    Files.writeString(out, "precious");
    Cli.tune(data, "--out", out).failed(1, out + " is already there; give --force to replace it");
    assertEquals("precious", Files.readString(out));
    Cli.tune(data, "--out", out, "--force", "--limit-per-class", 2).succeeded();
    assertEquals(10, LinearisedModel.read(out).fit().samples());
  }

  @Test
  void discardsALeftOverCheckpointWithoutResume() throws IOException {
    Path checkpoint = folder.resolve("tiny.lqf.checkpoint");
    Files.writeString(checkpoint, "not even a checkpoint");
    Cli run =
        Cli.run(
            "tune",
            "--backbone",
            TinyData.network(),
            "--data",
            data,
            "--solver",
            "cg",
            "--iterations",
            2,
            "--out",
            folder.resolve("tiny.lqf"));
    assertEquals(0, run.code(), run.err());
    assertTrue(
        run.err().contains("lqf: discarded the checkpoint of an interrupted run; --resume would"),
        run.err());
    assertTrue(run.out().contains("2, tolerance not met"), run.out());
    assertFalse(Files.exists(checkpoint));
  }

  @Test
  void resumeWithoutCheckpointStartsAfreshAndSaysSo() {
    Path out = folder.resolve("tiny.lqf");
    Cli run =
        Cli.run(
            "tune",
            "--backbone",
            TinyData.network(),
            "--data",
            data,
            "--out",
            out,
            "--resume",
            "--limit-per-class",
            2);
    assertEquals(0, run.code(), run.err());
    assertTrue(
        run.err()
            .contains(
                "lqf: there is no checkpoint %s.checkpoint; starting from the beginning"
                    .formatted(out)),
        run.err());
  }

  @Test
  void shippedNetworkAndImagesAreTheDefault() throws IOException {
    String before = System.getProperty("lqf.home");
    System.setProperty("lqf.home", System.getProperty("basedir", ""));
    try {
      Path metrics = folder.resolve("m.json");
      Cli.run("tune", "--quiet", "--limit-per-class", 1, "--size", 16, "--metrics-json", metrics)
          .succeeded();
      JsonNode json = Cli.read(Files.readString(metrics));
      assertEquals("resnet20-leaky0.1-own", json.get("backbone").textValue());
      assertEquals(1000, json.get("testImages").intValue());
    } finally {
      if (before == null) {
        System.clearProperty("lqf.home");
      } else {
        System.setProperty("lqf.home", before);
      }
    }
  }
}
