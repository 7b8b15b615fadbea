package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.model.LinearisedModel;
import org.lqf.testing.TinyData;

/** evaluate, predict and inspect, on one model. */
class ModelCommandsTest {

  private static final int TEST = 8; // images of a class

  @TempDir static Path shared;
  static Path data;
  static Path network;
  static Path model;
  static JsonNode tuned; // the metrics of its training

  @TempDir Path folder;

  @BeforeAll
  static void tune() throws IOException {
    data = TinyData.write(shared.resolve("data"), 10, TEST);
    network = TinyData.copyNetwork(shared.resolve("nets"));
    Files.createDirectory(shared.resolve("models"));
    model = shared.resolve("models/tiny.lqf");
    Path metrics = shared.resolve("m.json");
    Object[] command = {
      "tune", "--quiet", "--backbone", network, "--data", data, "--out", model, "--metrics-json"
    };
    Object[] all = Arrays.copyOf(command, command.length + 1);
    all[command.length] = metrics;
    Cli.run(all).succeeded();
    tuned = Cli.read(Files.readString(metrics));
  }

  @Test
  void evaluateFindsTheNetworkAndGivesTheAccuracyOfTune() throws IOException {
    Path metrics = folder.resolve("m.json");
    Path test = data.resolve("test");
    Cli run =
        Cli.run("evaluate", model, "--data", test, "--metrics-json", metrics, "--quiet")
            .succeeded();
    JsonNode json = Cli.read(Files.readString(metrics));
    assertEquals(tuned.get("testAccuracy"), json.get("testAccuracy"));
    assertEquals(tuned.get("perClass").size(), json.get("perClass").size());
    assertEquals(tuned.get("confusions"), json.get("confusions"));
    assertEquals(tuned.get("trainLoss"), json.get("trainLoss"));
    assertEquals(tuned.get("dataDigest"), json.get("dataDigest"));
    assertEquals(tuned.get("testDataDigest"), json.get("testDataDigest"));
    assertTrue(json.has("probeAccuracy") && json.get("probeAccuracy").isNull());
    assertTrue(run.out().contains("(standard error)"), run.out());
    assertTrue(run.out().contains("\nankle-boot          8 "), run.out());

    Path other = folder.resolve("both.json");
    Cli.run("evaluate", model, "--data", data, "--metrics-json", other, "--quiet").succeeded();
    assertEquals(
        json.get("testDataDigest"), Cli.read(Files.readString(other)).get("testDataDigest"));
  }

  @Test
  void aMovedModelNeedsTheNetworkSaid() throws IOException {
    Path moved = folder.resolve("moved.lqf");
    Files.copy(model, moved);
    Path expected = folder.resolveSibling("nets").resolve(network.getFileName());
    Cli.run("evaluate", moved, "--data", data)
        .failed(
            1,
            "the network of %s is not at %s any more; give it with --backbone net.json"
                .formatted(moved, expected));
    Cli.run("evaluate", moved, "--data", data, "--backbone", network, "--quiet").succeeded();
  }

  @Test
  void anotherNetworkIsRefused() throws IOException {
    Path other =
        Path.of(System.getProperty("basedir", ""))
            .resolve("test-data/resnet20-leaky0.1-own/resnet20-leaky0.1-own.json");
    Cli run = Cli.run("predict", model, "x.png", "--backbone", other);
    assertEquals(1, run.code());
    assertTrue(run.err().startsWith("lqf: this model was made from backbone"), run.err());
    assertEquals(1, run.err().lines().count());
  }

  @Test
  void unknownClassOfTestImagesIsNamed() throws IOException {
    Path images = TinyData.write(folder, 1, 1).resolve("test");
    Files.move(images.resolve("bag"), images.resolve("purse"));
    Cli run = Cli.run("evaluate", model, "--data", images);
    assertEquals(1, run.code());
    assertTrue(run.err().startsWith("lqf: " + images + ": unknown class purse"), run.err());
  }

  @Test
  void evaluateNeedsData() {
    Cli.run("evaluate", model)
        .failed(2, "Missing required option: '--data=DIR'; see lqf evaluate --help");
    Cli.run("evaluate")
        .failed(
            2,
            "Missing required options and parameters: '--data=DIR', 'MODEL.lqf'; see lqf evaluate --help");
  }

  @Test
  void predictNamesTheClassesOfImages() throws IOException {
    Path boot = data.resolve("test/ankle-boot/000.png");
    Path bag = data.resolve("test/bag/001.png");
    Cli run = Cli.run("predict", model, boot, bag, "--top", 2).succeeded();
    List<String> lines = run.out().lines().toList();
    assertEquals(2, lines.size(), run.out());
    assertTrue(
        lines.get(0).matches("\\Q" + boot + "\\E: \\S+ -?\\d\\.\\d{3}, \\S+ -?\\d\\.\\d{3}"),
        run.out());

    JsonNode json = Cli.run("predict", model, "--json", "--top", 2, boot, bag).succeeded().json();
    assertEquals(boot.toString(), json.get(0).get("image").textValue());
    for (int i = 0; i < 2; i++) {
      JsonNode top = json.get(i).get("top");
      assertEquals(2, top.size());
      assertEquals(json.get(i).get("label"), top.get(0).get("label"));
      double first = top.get(0).get("score").doubleValue();
      assertTrue(first >= top.get(1).get("score").doubleValue());
      assertEquals(first, json.get(i).get("score").doubleValue());
      assertTrue(
          lines.get(i).contains("%s %.3f".formatted(top.get(0).get("label").textValue(), first)),
          run.out());
    }
  }

  @Test
  void predictGivesThePredictionsThatWereEvaluated() throws IOException {
    int right = 0;
    for (String name : TinyData.CLASSES) {
      Object[] command = new Object[3 + TEST];
      command[0] = "predict";
      command[1] = model;
      command[2] = "--json";
      for (int i = 0; i < TEST; i++) {
        command[3 + i] = data.resolve("test/%s/%03d.png".formatted(name, i));
      }
      for (JsonNode image : Cli.run(command).succeeded().json()) {
        right += image.get("label").textValue().equals(name) ? 1 : 0;
      }
    }
    int images = TEST * TinyData.CLASSES.size();
    assertEquals(tuned.get("testAccuracy").doubleValue(), right / (double) images);
  }

  @Test
  void predictGoesOnAfterAnUnreadableImage() throws IOException {
    Path text = folder.resolve("text.png");
    Files.writeString(text, "no image");
    Path missing = folder.resolve("missing.jpg");
    Path good = data.resolve("test/bag/000.png");
    Cli run = Cli.run("predict", model, text, missing, folder, good);
    assertEquals(1, run.code());
    List<String> errors = run.err().lines().toList();
    assertEquals(
        List.of(
            "lqf: " + text + ": not an image of any known format",
            "lqf: " + missing + ": there is no such file",
            "lqf: " + folder + ": Is a directory"),
        errors);
    assertTrue(run.out().startsWith(good + ": "), run.out());
    assertEquals(1, run.out().lines().count());
  }

  @Test
  void predictNeedsImages() {
    Cli run = Cli.run("predict", model);
    assertEquals(2, run.code());
    assertTrue(run.err().contains("'IMAGE'"), run.err());
    Cli.run("predict", model, "a.png", "--top", 0)
        .failed(2, "--top must be at least 1, got 0; see lqf predict --help");
  }

  @Test
  void inspectShowsWhereAModelComesFrom() throws IOException {
    LinearisedModel content = LinearisedModel.read(model);
    Cli text = Cli.run("inspect", model).succeeded();
    for (String expected :
        List.of(
            content.origin().backboneDigest(),
            content.origin().dataDigest(),
            "../nets/" + network.getFileName(),
            "5: ankle-boot, bag, sandal, shirt, sneaker",
            content.fit().solver(),
            "certified gap",
            "delta             [%d]".formatted(content.delta().length))) {
      assertTrue(text.out().contains(expected), () -> expected + " in\n" + text.out());
    }
    JsonNode json = Cli.run("inspect", model, "--json").succeeded().json();
    assertEquals(Files.size(model), json.get("fileBytes").longValue());
    assertEquals(64, json.get("fileSha256").textValue().length());
    assertEquals(content.fit().certificate().loss(), json.get("trainLoss").doubleValue());
    assertEquals(content.labels().size(), json.get("labels").size());
    assertEquals(28, json.get("width").intValue());
    assertTrue(json.get("deltaNorm").doubleValue() > 0);
    assertTrue(text.out().contains(json.get("fileSha256").textValue()));
  }

  @Test
  void foreignAlteredAndMissingModelsAreRefused() throws IOException {
    Path altered = folder.resolve("altered.lqf");
    byte[] bytes = Files.readAllBytes(model);
    bytes[bytes.length - 3] ^= 1;
    Files.write(altered, bytes);
    Path cut = folder.resolve("cut.lqf");
    Files.write(cut, Arrays.copyOf(bytes, bytes.length / 2));
    Path weights = network.resolveSibling("resnet8-fashion5-leaky0.1.safetensors");
    for (Path wrong : List.of(altered, cut, weights, network, folder, folder.resolve("none"))) {
      for (Object[] command :
          new Object[][] {
            {"inspect", wrong},
            {"predict", wrong, "a.png"},
            {"evaluate", wrong, "--data", data}
          }) {
        Cli run = Cli.run(command);
        assertEquals(1, run.code(), run.err());
        assertEquals(1, run.err().lines().count(), run.err());
        assertTrue(run.err().startsWith("lqf: " + wrong), run.err());
      }
    }
    assertTrue(Cli.run("inspect", altered).err().contains("was altered after it was written"));
  }
}
