package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lqf.model.Backbone;
import org.lqf.model.Layer;
import org.lqf.model.TrainableNetwork;
import org.lqf.testing.TinyData;

/** {@code lqf pretrain} and {@code lqf adapt} on a few shipped images. */
class PretrainCommandsTest {

  @TempDir static Path shared;
  static Path data;

  @TempDir Path folder;

  @BeforeAll
  static void writeImages() throws IOException {
    data = TinyData.write(shared, 20, 10);
  }

  private static Cli run(String command, Object... more) {
    Object[] first = {
      command, "--data", data, "--size", 16, "--batch", 20, "--threads", 2, "--quiet"
    };
    Object[] all = Arrays.copyOf(first, first.length + more.length);
    System.arraycopy(more, 0, all, first.length, more.length);
    return Cli.run(all);
  }

  @Test
  void pretrainLearnsTheClassesAndWritesANetworkThatTuneTakes() throws IOException {
    Path out = folder.resolve("net.json");
    Path metrics = folder.resolve("m.json");
    Cli done =
        run(
                "pretrain",
                "--arch=resnet8",
                "--epochs=12",
                "--no-augment",
                "--out",
                out,
                "--metrics-json",
                metrics)
            .succeeded();
    assertTrue(done.out().contains("steps             60 of 20 images"), done.out());
    assertTrue(done.out().contains("wrote " + out), done.out());
    JsonNode json = Cli.read(Files.readString(metrics));
    assertEquals(12, json.get("trainLosses").size());
    assertTrue(json.get("trainLosses").get(11).asDouble() < 0.7, json.toString());
    assertTrue(json.get("testAccuracy").asDouble() > 0.6, json.toString()); // by chance 0.2
    assertEquals(60, json.get("steps").asInt());
    Backbone network = Backbone.read(out);
    assertEquals(json.get("backboneDigest").asText(), network.digest());
    assertEquals(TinyData.CLASSES.size(), network.classNames().size());
    assertFalse(Files.exists(folder.resolve("net.json.checkpoint")));
    run("pretrain", "--out", out).failed(1, out + " is already there; give --force to replace it");
    Cli.run(
            "tune",
            "--backbone",
            out,
            "--data",
            data,
            "--solver=cg",
            "--iterations=2",
            "--quiet",
            "--out",
            folder.resolve("net.lqf"))
        .succeeded();
  }

  @Test
  void adaptBringsTheFeaturesBack() throws IOException {
    Path relu = folder.resolve("relu.json");
    run("pretrain", "--arch=resnet8", "--slope=0", "--epochs=6", "--out", relu).succeeded();
    Path out = folder.resolve("leaky.json");
    Path metrics = folder.resolve("m.json");
    Object[] adapt = {
      "--backbone", relu, "--slope=0.2", "--epochs=12", "--out", out, "--metrics-json", metrics
    };
    Cli done = run("adapt", adapt).succeeded();
    JsonNode json = Cli.read(Files.readString(metrics));
    double before = json.get("featureErrorBefore").asDouble();
    double after = json.get("featureErrorAfter").asDouble();
    assertTrue(after < 0.5 * before, json.toString());
    assertTrue(
        json.get("sameClassAfter").asDouble() >= json.get("sameClassBefore").asDouble(),
        json.toString());
    assertTrue(json.get("probeAccuracyAfter").asDouble() > 0.5, json.toString());
    assertTrue(done.out().contains("slope 0.2, adapted"), done.out());
    TrainableNetwork leaky = TrainableNetwork.read(out);
    assertTrue(
        leaky.graph().nodes().stream()
            .allMatch(node -> !(node.layer() instanceof Layer.LeakyRelu r) || r.slope() == 0.2f));
    Cli refused = run("adapt", "--backbone", out, "--out", folder.resolve("again.json"));
    assertEquals(2, refused.code());
    assertTrue(refused.err().contains("expected a network with ReLU"), refused.err());
  }

  private static Object[] with(Object[] options, Object... more) {
    Object[] all = Arrays.copyOf(options, options.length + more.length);
    System.arraycopy(more, 0, all, options.length, more.length);
    return all;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--epochs 0 | epochs must be at least 1, got 0",
        "--batch 1 | batch must be at least 2, got 1",
        "--learning-rate 0 | learning rate must be finite and positive, got 0.0",
        "--weight-decay -1 | weight decay must be finite and at least 0, got -1.0",
        "--arch vgg | unknown architecture \"vgg\", expected resnet8, resnet14, resnet20 … or resnet18, resnet34",
        "--slope -1 | negative_slope must be finite and at least 0, got -1.0",
        "--limit-per-class 0 | --limit-per-class must be at least 1, got 0",
      })
  void saysWhichOptionIsWrong(String options, String sentence) {
    Object[] all =
        with(new Object[] {"--out", folder.resolve("net.json")}, (Object[]) options.split(" "));
    Object[] command = {"pretrain", "--data", data};
    Cli.run(with(command, all)).failed(2, sentence + "; see lqf pretrain --help");
  }
}
