package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.testing.TinyData;

/** predict and evaluate with --uncertainty, on one model of 100 real images. */
class UncertaintyOptionsTest {

  private static final int TEST = 40; // images of a class

  @TempDir static Path folder;
  static Path data;
  static Path model;
  static Cli evaluated;
  static JsonNode exact;

  @BeforeAll
  static void tune() throws IOException {
    data = TinyData.write(folder.resolve("data"), 20, TEST);
    model = folder.resolve("tiny.lqf");
    Cli.tune(data.resolve("train"), "--solver", "gram", "--out", model).succeeded();
    Path json = folder.resolve("exact.json");
    evaluated =
        Cli.run(
                "evaluate",
                model,
                "--data",
                data,
                "--quiet",
                "--uncertainty",
                "--train",
                data,
                "--report",
                folder.resolve("sure.html"),
                "--metrics-json",
                json)
            .succeeded();
    exact = Cli.read(Files.readString(json));
  }

  @Test
  void confidenceFromLeaveOneOutHoldsOnTestImages() {
    assertEquals("gram", exact.get("posterior").textValue());
    double accuracy = exact.get("testAccuracy").doubleValue();
    assertEquals(accuracy, exact.get("meanConfidence").doubleValue(), 0.1);
    assertTrue(exact.get("calibrationError").doubleValue() < 0.1, exact::toString);
    assertTrue(evaluated.out().contains("leave-one-out answers of 100 training images"));
  }

  @Test
  void rejectingTheLeastSureRaisesAccuracy() throws IOException {
    JsonNode curve = exact.get("rejectCurve");
    int images = TEST * TinyData.CLASSES.size();
    assertEquals(images, curve.size());
    assertEquals(exact.get("testAccuracy"), curve.get(0).get("accuracy"));
    double all = curve.get(0).get("accuracy").doubleValue();
    double half = curve.get(images / 2).get("accuracy").doubleValue();
    assertTrue(half > all + 0.02, "accuracy %s of all, %s of the surer half".formatted(all, half));
    String page = Files.readString(folder.resolve("sure.html"));
    assertTrue(page.contains("<polyline") && page.contains("Accuracy by coverage"));
  }

  @Test
  void kroneckerRanksLikeTheExactPosterior() throws IOException {
    Path json = folder.resolve("kronecker.json");
    Cli.run(
            "evaluate",
            model,
            "--data",
            data,
            "--quiet",
            "--uncertainty",
            "--train",
            data,
            "--posterior",
            "kronecker",
            "--calibrate",
            data,
            "--metrics-json",
            json)
        .succeeded();
    JsonNode rough = Cli.read(Files.readString(json));
    assertEquals("kronecker", rough.get("posterior").textValue());
    assertEquals(exact.get("testAccuracy"), rough.get("testAccuracy"));
    assertEquals(
        exact.get("rejectArea").doubleValue(), rough.get("rejectArea").doubleValue(), 0.03);
  }

  @Test
  void predictSaysHowSureItIsAndGivesNoAnswerBelow() throws IOException {
    Path boot = data.resolve("test/ankle-boot/000.png");
    Path bag = data.resolve("test/bag/001.png");
    Object[] command = {
      "predict", model, boot, bag, "--uncertainty", "--data", data, "--quiet", "--json"
    };
    JsonNode json = Cli.run(command).succeeded().json();
    JsonNode plain = Cli.run("predict", model, boot, bag, "--json").succeeded().json();
    for (int i = 0; i < 2; i++) {
      assertEquals(plain.get(i).get("label"), json.get(i).get("label"));
      assertEquals(
          plain.get(i).get("score").doubleValue(), json.get(i).get("score").doubleValue(), 1e-4);
      assertTrue(json.get(i).get("deviation").doubleValue() > 0);
      double confidence = json.get(i).get("confidence").doubleValue();
      assertTrue(confidence >= 0.5 && confidence <= 1);
      assertTrue(!json.get(i).get("rejected").booleanValue());
    }
    Cli text =
        Cli.run(
                "predict",
                model,
                boot,
                "--uncertainty",
                "--data",
                data,
                "--quiet",
                "--top",
                2,
                "--reject-below",
                1)
            .succeeded();
    assertTrue(
        text.out()
            .matches(
                "\\Q"
                    + boot
                    + "\\E: no answer \\(\\S+ \\d\\.\\d{3} ± \\d\\.\\d{3}, [\\d.]+ % sure, \\S+ -?\\d\\.\\d{3}\\)\\R"),
        text.out());
  }

  @Test
  void optionsThatSayNothingAreRefused() {
    Path image = data.resolve("test/bag/001.png");
    Cli.run("predict", model, image, "--uncertainty")
        .failed(
            2,
            "--uncertainty needs --data DIR, the images that the model was trained on; see lqf predict --help");
    Cli.run("predict", model, image, "--data", data)
        .failed(
            2,
            "--data, --calibrate and --posterior are for --uncertainty; give that too; see lqf predict --help");
    Cli.run("predict", model, image, "--reject-below", 0.9)
        .failed(2, "--reject-below is for --uncertainty; give that too; see lqf predict --help");
    Cli.run(
            "evaluate",
            model,
            "--data",
            data,
            "--uncertainty",
            "--train",
            data,
            "--posterior",
            "kronecker")
        .failed(
            2,
            "--posterior kronecker needs --calibrate DIR, labelled images that were not trained on; see lqf evaluate --help");
    Cli.run("evaluate", model, "--data", data, "--report", "x.html")
        .failed(2, "--report is for --uncertainty; give that too; see lqf evaluate --help");
  }
}
