package org.lqf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LinearisedModelTest {

  @TempDir Path folder;

  private static final Backbone BACKBONE = backbone(0.5f);

  /** conv 1→2 of 3×3, leaky ReLU, pool, linear 2→3 as the head that it came with. */
  private static Backbone backbone(float firstWeight) {
    float[] w0 = new float[2 * 9 + 2 + 3 * 2 + 3];
    for (int i = 0; i < w0.length; i++) {
      w0[i] = i == 0 ? firstWeight : (i % 5 - 2) / 4f;
    }
    return new Backbone(
        "tiny",
        new InputSpec(1, 6, 6, new float[] {0.286f}, new float[] {0.353f}),
        List.of(
            new Node("conv", new Layer.Conv2d(1, 2, 3, 3, 1, 1), Node.INPUT),
            new Node("act", new Layer.LeakyRelu(0.1f), "conv"),
            new Node("pool", new Layer.GlobalAvgPool(), "act"),
            new Node("fc", new Layer.Linear(2, 3), "pool")),
        "fc",
        "act",
        List.of(),
        w0);
  }

  private static LinearisedModel model() {
    Backbone sized = BACKBONE.withInputSize(8, 7);
    float[] delta = new float[2 * 9 + 2 + 2 * 2 + 2];
    for (int i = 0; i < delta.length; i++) {
      delta[i] = 1e-3f * i * i - 0.1f;
    }
    return new LinearisedModel(
        new LinearisedModel.Origin(
            "tiny", sized.digest(), "../nets/tiny.json", "d".repeat(64), LinearisedModel.VERSION),
        sized.input(),
        List.of("Äpfel, rot", "b\"q\""),
        new float[] {1, 2, 3, 4},
        new float[] {-1, 1},
        new LayerUnits(Map.of("conv", 0.25f, "head", 1f)),
        delta,
        new LinearisedModel.Fit("cg", -7, 40, 12, 15, new Certificate(0.125, 1e-6, 1e-3, 3e-10)));
  }

  private Path written() throws IOException {
    Path file = folder.resolve("m.lqf");
    model().write(file);
    return file;
  }

  @Test
  void whatIsWrittenIsReadBack() throws IOException {
    assertEquals(model(), LinearisedModel.read(written()));
  }

  @Test
  void provenanceIsReadBack() throws IOException {
    LinearisedModel model = model();
    Provenance.Event event =
        new Provenance.Event(
            "forget",
            List.of("a".repeat(64)),
            List.of(),
            List.of("bag"),
            List.of(),
            "d".repeat(64),
            "e".repeat(64),
            "gram",
            1e-7,
            2.5e-6);
    List<Provenance.Image> images = new ArrayList<>();
    for (int i = 0; i < model.fit().samples(); i++) {
      images.add(new Provenance.Image("z\"ä/%d.png".formatted(40 - i), "%064d".formatted(i)));
    }
    LinearisedModel changed =
        new LinearisedModel(
            model.origin(),
            model.input(),
            model.labels(),
            model.headWeight(),
            model.headBias(),
            model.linearised(),
            model.delta(),
            model.fit(),
            Provenance.UNKNOWN.after(event, images));
    Path file = folder.resolve("changed.lqf");
    changed.write(file);
    assertEquals(changed, LinearisedModel.read(file));
    assertEquals(images, LinearisedModel.read(file).provenance().images());
  }

  @Test
  void imagesAreNamedOnceAndAllOrNone() {
    Provenance.Image image = new Provenance.Image("a/b.png", "0".repeat(64));
    assertThrows(
        IllegalArgumentException.class, () -> new Provenance(List.of(image, image), List.of()));
    LinearisedModel model = model();
    IllegalArgumentException error =
        assertThrows(
            IllegalArgumentException.class,
            () ->
                new LinearisedModel(
                    model.origin(),
                    model.input(),
                    model.labels(),
                    model.headWeight(),
                    model.headBias(),
                    model.linearised(),
                    model.delta(),
                    model.fit(),
                    new Provenance(List.of(image), List.of())));
    assertEquals("1 images are named but 40 were fitted", error.getMessage());
  }

  @Test
  void aFileFromBeforeTheGapWasKeptIsReadAndGivesTheOneOfItsGradient() throws IOException {
    Safetensors content = Safetensors.read(written());
    Map<String, String> texts = new HashMap<>(content.metadata());
    assertEquals("3.0E-10", texts.remove("certifiedGap"));
    texts.put("version", "0.1.0-SNAPSHOT");
    texts.put("content", "9daa5d8fe527048b01337a5c319998ecd38339c2687ca1e4023c660cb822d08c");
    Path old = folder.resolve("old.lqf");
    new Safetensors(texts, content.tensors()).write(old);
    Certificate proven = LinearisedModel.read(old).fit().certificate();
    assertEquals(new Certificate(0.125, 1e-6, 1e-3), proven);
    assertEquals(5e-10, proven.gap(), 1e-24);
  }

  @Test
  void equalModelsGiveEqualBytes() throws IOException {
    byte[] first = Files.readAllBytes(written());
    LinearisedModel.read(written()).write(folder.resolve("again.lqf"));
    assertArrayEquals(first, Files.readAllBytes(folder.resolve("again.lqf")));
  }

  @Test
  void everyTruncationIsRefused() throws IOException {
    byte[] whole = Files.readAllBytes(written());
    Path cut = folder.resolve("cut.lqf");
    for (int length = 0; length < whole.length; length++) {
      Files.write(cut, Arrays.copyOf(whole, length));
      assertThrows(IOException.class, () -> LinearisedModel.read(cut));
    }
  }

  @Test
  void everyFlippedBitIsRefused() throws IOException {
    byte[] whole = Files.readAllBytes(written());
    Path altered = folder.resolve("altered.lqf");
    for (int at = 0; at < whole.length; at++) {
      byte[] copy = whole.clone();
      copy[at] ^= (byte) (1 << at % 8);
      Files.write(altered, copy);
      assertThrows(IOException.class, () -> LinearisedModel.read(altered), "byte " + at);
    }
  }

  @Test
  void anotherSafetensorsFileIsRefusedByName() throws IOException {
    Path foreign = folder.resolve("foreign.lqf");
    new Safetensors(Map.of(), Map.of("delta", Tensor.of(new float[] {1}))).write(foreign);
    IOException e = assertThrows(IOException.class, () -> LinearisedModel.read(foreign));
    assertTrue(e.getMessage().contains("is no model of lqf"), e.getMessage());
  }

  @Test
  void aModelOfAnotherVersionIsRefusedAsSuch() throws IOException {
    Path old = folder.resolve("old.lqf");
    Map<String, String> texts = Map.of("format", "lqf-model/1");
    new Safetensors(texts, Map.of("delta", Tensor.of(new float[] {1}))).write(old);
    IOException e = assertThrows(IOException.class, () -> LinearisedModel.read(old));
    assertTrue(e.getMessage().contains("of another version of lqf"), e.getMessage());
  }

  @Test
  void changedMetadataIsRefusedAsAltered() throws IOException {
    Safetensors content = Safetensors.read(written());
    Map<String, String> texts = new HashMap<>(content.metadata());
    texts.put("loss", "0.0");
    Path file = folder.resolve("lies.lqf");
    new Safetensors(texts, content.tensors()).write(file);
    IOException e = assertThrows(IOException.class, () -> LinearisedModel.read(file));
    assertTrue(e.getMessage().contains("was altered"), e.getMessage());
  }

  @Test
  void attachesToItsBackboneAtAnySize() {
    Backbone headed = model().attach(BACKBONE);
    assertEquals(8, headed.input().height());
    assertEquals(2, headed.outputShape().channels());
    assertEquals(headed.digest(), model().attach(BACKBONE.withInputSize(9, 9)).digest());
  }

  @Test
  void refusesAnotherBackboneNamingBoth() {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> model().attach(backbone(0.25f)));
    assertTrue(e.getMessage().contains(model().origin().backboneDigest()), e.getMessage());
    assertTrue(e.getMessage().contains(backbone(0.25f).withInputSize(8, 7).digest()));
  }

  @Test
  void certificateFollowsFromGradientAndRidge() {
    Certificate proven = new Certificate(1, 0.2, 0.5);
    assertEquals(0.04, proven.gap(), 1e-15);
    assertEquals(0.4, proven.distance(), 1e-15);
  }

  @Test
  void versionIsThatOfThePom() throws IOException {
    Path pom = Path.of(System.getProperty("basedir", "")).toAbsolutePath().resolve("pom.xml");
    String text = Files.readString(pom, StandardCharsets.UTF_8);
    String ours = text.substring(text.indexOf("<artifactId>lqf</artifactId>"));
    assertTrue(ours.indexOf("<version>" + LinearisedModel.VERSION + "</version>") < 80, ours);
    assertTrue(ours.contains("<version>" + LinearisedModel.VERSION + "</version>"));
  }
}
