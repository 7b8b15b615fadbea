package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.testing.TinyData;

/** forget, learn and verify-forget, on one model of 30 images. */
class ChangeCommandsTest {

  /** Two ways to one optimum, both by gram, in single precision. */
  private static final double SAME = 1e-4;

  @TempDir static Path shared;
  static Path data;
  static Path model;

  @TempDir Path folder;

  @BeforeAll
  static void tune() throws IOException {
    data = TinyData.write(shared.resolve("data"), 6, 2);
    model = shared.resolve("tiny.lqf");
    Cli.tune(data, "--out", model).succeeded();
  }

  private static Cli change(String command, Path from, Object... more) {
    Object[] first = {command, from, "--data", data, "--quiet"};
    Object[] all = Arrays.copyOf(first, first.length + more.length);
    System.arraycopy(more, 0, all, first.length, more.length);
    return Cli.run(all);
  }

  /** ‖a − b‖/‖b‖ of their Δ. */
  private static double distance(Path a, Path b) throws IOException {
    float[] left = LinearisedModel.read(a).delta();
    float[] right = LinearisedModel.read(b).delta();
    assertEquals(left.length, right.length);
    double difference = 0;
    double length = 0;
    for (int i = 0; i < left.length; i++) {
      difference += ((double) left[i] - right[i]) * ((double) left[i] - right[i]);
      length += (double) right[i] * right[i];
    }
    return Math.sqrt(difference / length);
  }

  @Test
  void forgettingIsTheSameByEveryRouteAndHasAReceipt() throws IOException {
    Path receipt = folder.resolve("receipt.json");
    Path anew = folder.resolve("anew.lqf");
    Path photo = data.resolve("train/shirt/003.png");
    Cli run =
        change(
                "forget",
                model,
                "--remove",
                "bag/001.png",
                photo,
                "--out",
                anew,
                "--receipt",
                receipt)
            .succeeded();
    assertTrue(
        run.out().contains("removed           2 images: bag/001.png, shirt/003.png"), run.out());
    assertTrue(run.out().contains("wrote " + anew), run.out());

    JsonNode json = Cli.read(Files.readString(receipt));
    LinearisedModel before = LinearisedModel.read(model);
    LinearisedModel after = LinearisedModel.read(anew);
    assertEquals("bag/001.png", json.get("removed").get(0).get("name").textValue());
    String digest = Digests.sha256(data.resolve("train/bag/001.png"));
    assertEquals(digest, json.get("removed").get(0).get("sha256").textValue());
    assertEquals(30, json.get("imagesBefore").intValue());
    assertEquals(28, json.get("imagesAfter").intValue());
    assertEquals(before.origin().dataDigest(), json.get("dataDigestBefore").textValue());
    assertEquals(after.origin().dataDigest(), json.get("dataDigestAfter").textValue());
    assertEquals(Digests.sha256(model), json.get("modelSha256Before").textValue());
    assertEquals(Digests.sha256(anew), json.get("modelSha256After").textValue());
    assertEquals(after.fit().certificate().gradientNorm(), json.get("gradientNorm").doubleValue());
    assertTrue(json.get("headKept").booleanValue());
    assertTrue(json.get("certifiedRelativeDistance").doubleValue() < 0.01, json::toString);

    assertEquals(28, after.provenance().images().size());
    assertFalse(Files.readString(anew, StandardCharsets.ISO_8859_1).contains("bag/001.png"));
    Provenance.Event event = after.provenance().history().get(0);
    assertEquals(digest, event.removed().get(0));
    Cli inspected = Cli.run("inspect", anew).succeeded();
    assertTrue(inspected.out().contains("changed           forget, 2 images out; by gram anew"));
    assertTrue(Cli.run("inspect", anew, "--json").out().contains(digest));

    Path byDual = folder.resolve("dual.lqf");
    Path dual = folder.resolve("m.dual");
    Path list = folder.resolve("list.txt");
    Files.writeString(list, "# two\nbag/001.png\n\nshirt/003.png\n");
    change("forget", model, "--remove-list", list, "--dual", dual, "--out", byDual).succeeded();
    assertEquals("gram", LinearisedModel.read(byDual).fit().solver());
    assertTrue(distance(byDual, anew) < SAME, () -> "dual");
    Path byCg = folder.resolve("cg.lqf");
    change("forget", model, "--remove-list", list, "--route", "cg", "--out", byCg).succeeded();
    double distance = distance(byCg, anew);
    assertTrue(distance < 0.01, () -> "cg " + distance);
    assertTrue(distance(model, anew) > 0.1, "the old model is visibly another one");
  }

  @Test
  void oneFileServesChangesOfChangesAndForgottenFilesMayBeGone() throws IOException {
    Path copy = TinyData.write(folder.resolve("copy"), 6, 1).resolve("train");
    Path dual = folder.resolve("m.dual");
    Path once = folder.resolve("once.lqf");
    Cli.run(
            "forget",
            model,
            "--data",
            copy,
            "--quiet",
            "--dual",
            dual,
            "--remove",
            "bag/002.png",
            "--out",
            once)
        .succeeded();
    Files.delete(copy.resolve("bag/002.png"));
    Files.delete(copy.resolve("sandal/004.png"));
    Path twice = folder.resolve("twice.lqf");
    Cli.run(
            "forget",
            once,
            "--data",
            copy,
            "--quiet",
            "--dual",
            dual,
            "--remove",
            "sandal/004.png",
            "--out",
            twice)
        .succeeded();
    LinearisedModel last = LinearisedModel.read(twice);
    assertEquals("gram", last.fit().solver());
    assertEquals(2, last.provenance().history().size());
    Path both = folder.resolve("both.lqf");
    change("forget", model, "--remove", "bag/002.png", "sandal/004.png", "--out", both).succeeded();
    assertTrue(distance(twice, both) < SAME);
    assertEquals(LinearisedModel.read(both).origin().dataDigest(), last.origin().dataDigest());
  }

  @Test
  void learningUndoesForgetting() throws IOException {
    Path less = folder.resolve("less.lqf");
    change("forget", model, "--remove", "bag/000.png", "shirt/000.png", "--out", less).succeeded();
    Path more = folder.resolve("more");
    for (String name : List.of("bag", "shirt")) {
      Files.createDirectories(more.resolve(name));
      Files.copy(data.resolve("train/" + name + "/000.png"), more.resolve(name + "/new.png"));
    }
    Path again = folder.resolve("again.lqf");
    Path dual = folder.resolve("less.dual");
    change("learn", less, "--add", more, "--dual", dual, "--out", again).succeeded();
    assertEquals("gram", LinearisedModel.read(again).fit().solver());
    assertTrue(distance(again, model) < SAME);
    assertEquals(30, LinearisedModel.read(again).provenance().images().size());
    Cli.run("forget", again, "--data", data, "--data", more, "--remove", "bag/new.png", "--quiet")
        .succeeded();
    change("learn", again, "--data", more, "--add", more)
        .failed(
            1,
            more
                + "/bag/new.png: the model was trained on an image of this name; give the new one another name");
  }

  @Test
  void aClassGoesAndComesBack() throws IOException {
    Path less = folder.resolve("less.lqf");
    Path dual = folder.resolve("m.dual");
    Path receipt = folder.resolve("r.json");
    change(
            "forget",
            model,
            "--remove-class",
            "bag",
            "--dual",
            dual,
            "--out",
            less,
            "--receipt",
            receipt)
        .succeeded();
    LinearisedModel four = LinearisedModel.read(less);
    assertEquals(List.of("ankle-boot", "sandal", "shirt", "sneaker"), four.labels());
    assertEquals("gram", four.fit().solver());
    assertEquals(
        "bag", Cli.read(Files.readString(receipt)).get("removedClasses").get(0).textValue());
    Path anew = folder.resolve("anew.lqf");
    change("forget", model, "--remove-class", "bag", "--out", anew).succeeded();
    assertEquals("gram anew", LinearisedModel.read(anew).fit().solver());
    assertTrue(distance(less, anew) < SAME);
    Cli prediction = Cli.run("predict", less, data.resolve("test/bag/000.png"), "--top", 9);
    assertFalse(prediction.out().substring(prediction.out().indexOf(": ")).contains("bag"));

    Path bags = folder.resolve("bags");
    Files.createDirectories(bags.resolve("bag"));
    List<Provenance.Image> images = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      String name = "bag/%03d.png".formatted(i);
      Files.copy(data.resolve("train").resolve(name), bags.resolve(name));
      images.add(new Provenance.Image(name, Digests.sha256(bags.resolve(name))));
    }
    change("learn", less, "--add", bags)
        .failed(
            1,
            bags
                + ": unknown class bag; the model has ankle-boot, sandal, shirt, sneaker. Rename or move these folders, or give --new-classes");
    Path five = folder.resolve("five.lqf");
    change("learn", less, "--add", bags, "--new-classes", "--out", five).succeeded();
    LinearisedModel back = LinearisedModel.read(five);
    assertEquals(List.of("ankle-boot", "sandal", "shirt", "sneaker", "bag"), back.labels());
    assertTrue(back.provenance().images().containsAll(images));
    assertEquals(List.of("bag"), back.provenance().history().get(1).addedClasses());
    Cli answer = Cli.run("predict", five, data.resolve("train/bag/000.png")).succeeded();
    assertTrue(answer.out().contains(": bag "), answer.out());
  }

  @Test
  void aNewHeadGivesTheModelOfATuningOnTheRest() throws IOException {
    Path copy = TinyData.write(folder.resolve("copy"), 6, 1).resolve("train");
    double ridge = LinearisedModel.read(model).fit().ridge();
    Path out = folder.resolve("forgotten.lqf");
    Path receipt = folder.resolve("r.json");
    change(
            "forget",
            model,
            "--remove",
            "bag/002.png",
            "shirt/001.png",
            "--new-head",
            "--out",
            out,
            "--receipt",
            receipt)
        .succeeded();
    assertFalse(Cli.read(Files.readString(receipt)).get("headKept").booleanValue());
    Files.delete(copy.resolve("bag/002.png"));
    Files.delete(copy.resolve("shirt/001.png"));
    Path tuned = folder.resolve("tuned.lqf");
    Cli.tune(copy, "--ridge", ridge, "--out", tuned).succeeded();
    assertTrue(distance(out, tuned) < SAME);
    assertEquals(
        LinearisedModel.read(tuned).origin().dataDigest(),
        LinearisedModel.read(out).origin().dataDigest());
  }

  @Test
  void whatCannotBeForgottenIsRefusedInASentence() throws IOException {
    change("forget", model)
        .failed(
            2,
            "name what is to be forgotten: --remove, --remove-list or --remove-class; see lqf forget --help");
    change("forget", model, "--remove", "bag/9.png")
        .failed(
            1,
            "bag/9.png: the model was trained on no image of this name and there is no such file; name it as CLASS/file in the training folder or by its path");
    Path photo = data.resolve("train/bag/001.png");
    change("forget", model, "--remove", "bag/001.png", photo)
        .failed(
            1, "bag/001.png and %s are the same image, bag/001.png; name it once".formatted(photo));
    change("forget", model, "--remove", "bag/001.png", "bag/001.png")
        .failed(1, "bag/001.png is named twice; name it once");
    Path other = data.resolve("test/bag/001.png");
    change("forget", model, "--remove", other)
        .failed(1, other + ": the model was not trained on it");
    change("forget", model, "--remove-class", "hat")
        .failed(1, "hat is no class of the model; it has ankle-boot, bag, sandal, shirt, sneaker");
    List<Object> bags = new ArrayList<>(List.of("--remove"));
    for (int i = 0; i < 6; i++) {
      bags.add("bag/%03d.png".formatted(i));
    }
    change("forget", model, bags.toArray())
        .failed(
            1,
            "no image of class bag would be left, and the model could never answer it; remove the class with --remove-class bag, or keep an image");
    Object[] four = {
      "--remove-class",
      "bag",
      "--remove-class",
      "shirt",
      "--remove-class",
      "sandal",
      "--remove-class",
      "sneaker"
    };
    Cli run = change("forget", model, four);
    assertEquals(1, run.code());
    assertTrue(run.err().contains("only class ankle-boot would be left"), run.err());
  }

  @Test
  void nothingIsReplacedOrHalfWritten() throws IOException {
    Path out = folder.resolve("there.lqf");
    Files.writeString(out, "mine");
    change("forget", model, "--remove", "bag/001.png", "--out", out)
        .failed(1, out + " is already there; give --force to replace it");
    Path receipt = folder.resolve("no/such/folder/r.json");
    Cli run =
        change(
            "forget",
            model,
            "--remove",
            "bag/001.png",
            "--out",
            out,
            "--force",
            "--receipt",
            receipt);
    assertEquals(1, run.code());
    assertTrue(run.err().contains("does not exist; create it first"), run.err());
    assertEquals("mine", Files.readString(out));
    Cli dry = change("forget", model, "--remove", "bag/001.png").succeeded();
    assertTrue(dry.out().endsWith("not saved; --out FILE.lqf would" + System.lineSeparator()));
  }

  @Test
  void aTwinThatStaysIsTold() throws IOException {
    Path copy = TinyData.write(folder.resolve("copy"), 6, 1).resolve("train");
    Files.copy(copy.resolve("bag/001.png"), copy.resolve("bag/twin.png"));
    Path twins = folder.resolve("twins.lqf");
    Cli.tune(copy, "--out", twins).succeeded();
    Cli run =
        Cli.run("forget", twins, "--data", copy, "--remove", "bag/001.png", "--quiet").succeeded();
    assertTrue(
        run.out().contains("the same picture stays under another name: bag/twin.png"), run.out());
  }

  @Test
  void verifyForgetMeasuresTheClaim() throws IOException {
    Path metrics = folder.resolve("v.json");
    Cli run =
        change(
                "verify-forget",
                model,
                "--count",
                4,
                "--seed",
                3,
                "--retune",
                "--metrics-json",
                metrics)
            .succeeded();
    JsonNode json = Cli.read(Files.readString(metrics));
    assertTrue(json.get("relativeDistanceToRetrained").doubleValue() < SAME, json::toString);
    assertTrue(json.get("relativeDistanceBefore").doubleValue() > 0.1, json::toString);
    assertEquals(
        json.get("timeRatioToRetrain").doubleValue(),
        json.get("secondsForget").doubleValue() / json.get("secondsRetrain").doubleValue(),
        1e-12);
    assertTrue(json.get("secondsGramInverse").doubleValue() > 0);
    assertEquals(0, json.get("answersUnlikeRetrained").intValue());
    assertTrue(json.get("answersUnlikeRetuned").intValue() <= 2, json::toString);
    assertEquals(4, json.get("forgotten").size());
    assertTrue(run.out().contains("forgotten         4 of 30 images"), run.out());
    change("verify-forget", model, "--count", 26)
        .failed(1, "26 of 30 images cannot be forgotten without leaving a class empty; at most 25");
  }
}
