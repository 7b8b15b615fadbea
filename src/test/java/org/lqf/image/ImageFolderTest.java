package org.lqf.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageFolderTest {

  private static final Path FASHION = Path.of("test-data", "fashion10");

  @TempDir Path root;

  @Test
  void readsTheShippedImages() throws IOException {
    assertTrue(ImageFolder.hasTrainTest(FASHION));
    ImageFolder train = ImageFolder.read(FASHION.resolve("train"));
    assertEquals(10, train.classes().size());
    assertEquals(1000, train.size());
    assertEquals("ankle-boot", train.classes().get(0));
    assertEquals("ankle-boot/0001.png", train.images().get(0).relativeName());
    assertEquals(9, train.labels()[999]);
    assertEquals(List.of(), train.notes());
    ImageFolder test = ImageFolder.readLike(FASHION.resolve("test"), train.classes());
    assertEquals(1000, test.size());
  }

  @Test
  void sortsByBytes() throws IOException {
    for (String name : List.of("b", "B", "a", "10", "9")) {
      image(name + "/1.png");
    }
    assertEquals(List.of("10", "9", "B", "a", "b"), ImageFolder.read(root).classes());
  }

  @Test
  void sortsBytesOfUtf8NotOfUtf16() throws IOException {
    assumeTrue("UTF-8".equals(System.getProperty("sun.jnu.encoding")), "file names are not UTF-8");
    List<String> inOrder = List.of("z\uFF5E", "z\uD800\uDC00"); // U+FF5E, U+10000
    for (String name : inOrder) {
      image(name + "/1.png");
    }
    assertEquals(inOrder, ImageFolder.read(root).classes());
  }

  @Test
  void namesWhatItPassesOver() throws IOException {
    image("cat/1.png");
    image("cat/.2.png");
    image("cat/more/3.png");
    text("cat/list.txt", "a list");
    text("cat/empty.jpg", "");
    text("cat/new.webp", "RIFF....WEBPVP8 ............");
    text("readme.md", "about");
    text(".hidden", "");
    Files.createDirectory(root.resolve("dog"));
    ImageFolder folder = ImageFolder.read(root);
    assertEquals(List.of("cat"), folder.classes());
    assertEquals(1, folder.size());
    assertEquals(
        Set.of(
            "cat/.2.png: hidden, not used",
            "cat/more/: a folder inside a class folder, not used",
            "cat/list.txt: not an image, not used",
            "cat/empty.jpg: empty file, not used",
            "cat/new.webp: this is WebP, which is not read here; convert it to PNG or JPEG",
            "readme.md: a file beside the class folders, not used",
            ".hidden: hidden, not used",
            "dog/: no images inside, so it is no class"),
        new HashSet<>(folder.notes()));
  }

  @Test
  void tellsImagesByContentNotByName() throws IOException {
    image("cat/photo");
    text("cat/not.png", "plain text");
    assertEquals("cat/photo", ImageFolder.read(root).images().get(0).relativeName());
    assertEquals(1, ImageFolder.read(root).size());
  }

  @Test
  void saysWhatLayoutItWants() throws IOException {
    String missing = refusal(root.resolve("nowhere"));
    assertTrue(
        missing.endsWith("expected a folder with a folder per class inside, found nothing"),
        missing);
    String empty = refusal(root);
    assertTrue(empty.contains("expected a folder per class with images inside"), empty);
    assertTrue(empty.endsWith("found no folder"), empty);
    image("train/cat/1.png");
    image("test/cat/1.png");
    String nested = refusal(root);
    assertTrue(
        nested.contains("found no image in test, train; give " + root.resolve("train")), nested);
    text("file", "");
    assertTrue(refusal(root.resolve("file")).endsWith("found a file"));
  }

  @Test
  void testLabelsMeanWhatTrainingLabelsMean() throws IOException {
    image("c/1.png");
    image("a/1.png");
    ImageFolder test = ImageFolder.readLike(root, List.of("c", "b", "a"));
    assertEquals(List.of("c", "b", "a"), test.classes());
    assertEquals(
        List.of("c/1.png", "a/1.png"),
        test.images().stream().map(ImageFile::relativeName).toList());
    assertEquals(2, test.labels()[1]);
    assertEquals(List.of("b/: no images of this class here"), test.notes());
  }

  @Test
  void refusesUnknownClassesByName() throws IOException {
    image("a/1.png");
    image("x/1.png");
    Files.createDirectory(root.resolve("y"));
    String message =
        assertThrows(IOException.class, () -> ImageFolder.readLike(root, List.of("a", "b")))
            .getMessage();
    assertTrue(message.contains("unknown class x; the training images have a, b"), message);
  }

  @Test
  void limitKeepsTheFirstOfEachClass() throws IOException {
    ImageFolder limited = ImageFolder.read(FASHION.resolve("train")).limitPerClass(3);
    assertEquals(30, limited.size());
    assertEquals("bag/0003.png", limited.images().get(5).relativeName());
    assertThrows(IllegalArgumentException.class, () -> limited.limitPerClass(0));
  }

  @Test
  void holdoutIsStratifiedDisjointAndRepeatable() throws IOException {
    ImageFolder all = ImageFolder.read(FASHION.resolve("train")).limitPerClass(7);
    ImageFolder.Split split = all.holdout(0.3, 5);
    int[] perClass = new int[10];
    split.test().images().forEach(image -> perClass[image.label()]++);
    for (int count : perClass) {
      assertEquals(2, count);
    }
    Set<ImageFile> both = new HashSet<>(split.train().images());
    both.addAll(split.test().images());
    assertEquals(70, both.size());
    assertEquals(70, split.train().size() + split.test().size());
    assertEquals(all.classes(), split.test().classes());
    assertEquals(split.test().images(), all.holdout(0.3, 5).test().images());
    assertNotEquals(split.test().images(), all.holdout(0.3, 6).test().images());
  }

  @Test
  void holdoutLeavesEveryClassInTraining() throws IOException {
    image("a/1.png");
    image("b/1.png");
    image("b/2.png");
    ImageFolder.Split split = ImageFolder.read(root).holdout(0.99, 1);
    assertEquals(
        List.of("a/1.png"),
        split.train().limitPerClass(1).images().stream()
            .limit(1)
            .map(ImageFile::relativeName)
            .toList());
    assertEquals(2, split.train().size());
    assertEquals(1, split.test().size());
    assertThrows(IllegalArgumentException.class, () -> split.train().holdout(1, 1));
    ImageFolder single = split.train();
    assertThrows(IllegalArgumentException.class, () -> single.holdout(0.5, 1));
  }

  @Test
  void digestSeesNamesLabelsAndBytes() throws IOException {
    image("a/1.png");
    image("b/1.png");
    String digest = ImageFolder.read(root).digest();
    assertEquals(64, digest.length());
    assertEquals(digest, ImageFolder.read(root).digest());
    assertNotEquals(digest, ImageFolder.readLike(root, List.of("b", "a")).digest());
    Files.move(root.resolve("a/1.png"), root.resolve("a/2.png"));
    String renamed = ImageFolder.read(root).digest();
    assertNotEquals(digest, renamed);
    Files.write(root.resolve("a/2.png"), new byte[] {(byte) 0x89}, StandardOpenOption.APPEND);
    assertNotEquals(renamed, ImageFolder.read(root).digest());
  }

  @Test
  void digestIsTheOneThatIsDocumented() throws Exception {
    image("a/1.png");
    byte[] bytes = Files.readAllBytes(root.resolve("a/1.png"));
    MessageDigest sha = MessageDigest.getInstance("SHA-256");
    sha.update("a/1.png\0".getBytes(StandardCharsets.UTF_8));
    sha.update(new byte[4]);
    sha.update(new byte[] {0, 0, 0, 0, 0, 0, (byte) (bytes.length >> 8), (byte) bytes.length});
    sha.update(bytes);
    assertEquals(HexFormat.of().formatHex(sha.digest()), ImageFolder.read(root).digest());
  }

  @Test
  void noTrainTestWhereOneIsMissing() throws IOException {
    image("train/a/1.png");
    assertFalse(ImageFolder.hasTrainTest(root));
  }

  private void image(String name) throws IOException {
    Path file = root.resolve(name);
    Files.createDirectories(file.getParent());
    Files.copy(Golden.SOURCE.resolve("one.png"), file);
  }

  private void text(String name, String content) throws IOException {
    Files.writeString(root.resolve(name), content);
  }

  private static String refusal(Path folder) {
    return String.valueOf(
        assertThrows(IOException.class, () -> ImageFolder.read(folder)).getMessage());
  }
}
