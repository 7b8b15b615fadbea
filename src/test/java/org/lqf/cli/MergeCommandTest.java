package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.model.LinearisedModel;
import org.lqf.testing.TinyData;

/** Two models of 15 images each become the model of the 30. */
class MergeCommandTest {

  private static final double SAME = 1e-4;

  @TempDir static Path shared;
  static Path left;
  static Path right;
  static Path a;
  static Path b;
  static Path whole;

  @TempDir Path folder;

  @BeforeAll
  static void tune() throws IOException {
    Path all = TinyData.write(shared.resolve("all"), 6, 1).resolve("train");
    left = shared.resolve("left");
    right = shared.resolve("right");
    for (String name : TinyData.CLASSES) {
      for (int i = 0; i < 6; i++) {
        Path to = (i % 2 == 0 ? left : right).resolve(name);
        Files.createDirectories(to);
        String file = "%03d.png".formatted(i);
        Files.copy(all.resolve(name).resolve(file), to.resolve(file));
      }
    }
    a = shared.resolve("a.lqf");
    b = shared.resolve("b.lqf");
    whole = shared.resolve("whole.lqf");
    Cli.tune(left, "--out", a).succeeded();
    Cli.tune(right, "--like", a, "--out", b).succeeded();
    Cli.tune(all, "--like", a, "--out", whole).succeeded();
  }

  private static double distance(float[] x, float[] y) {
    double difference = 0;
    double length = 0;
    for (int i = 0; i < x.length; i++) {
      difference += ((double) x[i] - y[i]) * ((double) x[i] - y[i]);
      length += (double) y[i] * y[i];
    }
    return Math.sqrt(difference / length);
  }

  private static double distance(Path model) throws IOException {
    return distance(LinearisedModel.read(model).delta(), LinearisedModel.read(whole).delta());
  }

  @Test
  void mergedIsTrainedOnAllAndTheMeanIsNot() throws IOException {
    Path merged = folder.resolve("merged.lqf");
    Cli.run("merge", a, b, "--data", left, "--data", right, "--out", merged, "--quiet").succeeded();
    assertTrue(distance(merged) < SAME, () -> "gram");
    Path byCg = folder.resolve("cg.lqf");
    Cli.run(
            "merge", a, b, "--data", left, "--data", right, "--route", "cg", "--out", byCg,
            "--quiet")
        .succeeded();
    double cg = distance(byCg);
    assertTrue(cg < 0.01, () -> "cg " + cg);
    float[] mean = LinearisedModel.read(a).delta();
    float[] other = LinearisedModel.read(b).delta();
    for (int i = 0; i < mean.length; i++) {
      mean[i] = (mean[i] + other[i]) / 2;
    }
    double average = distance(mean, LinearisedModel.read(whole).delta());
    assertTrue(average > 0.1, () -> "the mean is at " + average);
    LinearisedModel model = LinearisedModel.read(merged);
    assertEquals(30, model.provenance().images().size());
    assertEquals("merge", model.provenance().history().get(0).kind());
    assertEquals(15, model.provenance().history().get(0).added().size());
  }

  @Test
  void mergingNeedsNoImagesWhereTheJacobiansWereKept() throws IOException {
    Path first = folder.resolve("a.jacobian");
    Path second = folder.resolve("b.jacobian");
    Cli.run("merge", a, "--data", left, "--keep", first, "--quiet").succeeded();
    Cli.run("merge", b, "--data", right, "--keep", second, "--quiet").succeeded();
    Path merged = folder.resolve("merged.lqf");
    Cli.run("merge", a, b, "--jacobian", first, "--jacobian", second, "--out", merged, "--quiet")
        .succeeded();
    assertTrue(distance(merged) < SAME, () -> "without images");
    LinearisedModel model = LinearisedModel.read(merged);
    assertEquals("gram of shards", model.fit().solver());
    assertTrue(model.origin().dataDigest().startsWith("names:"), model.origin()::dataDigest);
    LinearisedModel trained = LinearisedModel.read(whole);
    assertEquals(
        trained.fit().certificate().loss(),
        model.fit().certificate().loss(),
        1e-5 * trained.fit().certificate().loss());
    Path again = folder.resolve("again.lqf");
    Cli.run(
            "forget",
            merged,
            "--data",
            left,
            "--data",
            right,
            "--remove",
            "bag/001.png",
            "--out",
            again,
            "--quiet")
        .succeeded();
    Cli.run("merge", a, b, "--jacobian", second, "--jacobian", first, "--quiet")
        .failed(
            1,
            second + " belongs to another model: its linearisation point or its images are others");
  }

  @Test
  void modelsThatCannotBeMergedAreRefused() {
    Path own = folder.resolve("own.lqf");
    Cli.tune(right, "--out", own).succeeded();
    Cli.run("merge", a, own, "--data", left, "--data", right)
        .failed(
            1,
            "%s and %s do not start from the same point (network, head, classes, layers, target scale and ridge), and Δ of one means nothing to the other; tune one with --like the other"
                .formatted(a, own));
    Cli.run("merge", a, a, "--data", left)
        .failed(
            1,
            "image ankle-boot/000.png is in %s and in %s and would count twice; forget it from one of them, or name the files apart"
                .formatted(a, a));
    for (List<Object> wrong :
        List.<List<Object>>of(
            List.of("merge", a, "--data", left),
            List.of("merge", a, b),
            List.of("merge", a, b, "--jacobian", "x"))) {
      Cli run = Cli.run(wrong.toArray());
      assertEquals(2, run.code());
      assertTrue(run.err().startsWith("lqf: give "), run.err());
    }
  }
}
