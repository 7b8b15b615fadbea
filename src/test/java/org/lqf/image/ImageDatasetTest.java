package org.lqf.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.NoSuchElementException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(60)
class ImageDatasetTest {

  private static final ImageTransform GREY =
      new ImageTransform(1, 12, 10, new float[] {0.286f}, new float[] {0.353f});

  @TempDir Path root;
  private ImageFolder folder;
  private ImageDataset dataset;

  @BeforeEach
  void readFashion() throws IOException {
    folder = ImageFolder.read(Path.of("test-data", "fashion10", "train")).limitPerClass(5);
    dataset = ImageDataset.of(folder, GREY);
  }

  @AfterEach
  void noThreadIsLeft() {
    assertEquals(0, readers());
  }

  @Test
  void readsEachImageThroughTheTransform() throws IOException {
    assertEquals(50, dataset.size());
    assertEquals(120, dataset.floats());
    float[] image = new float[120];
    dataset.read(17, image, 0);
    assertArrayEquals(GREY.apply(ImageDecoder.decode(folder.images().get(17).path())), image);
    assertEquals(3, dataset.label(17));
    assertArrayEquals(folder.labels(), dataset.labels());
    assertThrows(IndexOutOfBoundsException.class, () -> dataset.read(50, image, 0));
    assertThrows(IndexOutOfBoundsException.class, () -> dataset.read(0, image, 1));
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "7, 1", "7, 2", "7, 5", "50, 2", "64, 2"})
  void batchesDoNotDependOnThreadsAndSize(int batchSize, int threads) throws IOException {
    float[] expected = dataset.load(1);
    int at = 0;
    try (Batches batches = dataset.batches(batchSize, threads)) {
      while (batches.hasNext()) {
        Batch batch = batches.next();
        assertEquals(Math.min(batchSize, 50 - at), batch.n());
        for (int i = 0; i < batch.n(); i++, at++) {
          assertEquals(at, batch.indices()[i]);
          assertEquals(dataset.label(at), batch.labels()[i]);
          assertArrayEquals(
              Arrays.copyOfRange(expected, at * 120, at * 120 + 120),
              Arrays.copyOfRange(batch.images(), i * 120, i * 120 + 120));
        }
      }
      assertThrows(NoSuchElementException.class, batches::next);
    }
    assertEquals(50, at);
  }

  @Test
  void batchesFollowTheGivenOrder() throws IOException {
    int[] order = {49, 3, 3, 20};
    try (Batches batches = dataset.batches(order, 4, 2)) {
      Batch batch = batches.next();
      assertArrayEquals(order, batch.indices());
      assertArrayEquals(new int[] {9, 0, 0, 4}, batch.labels());
    }
    assertThrows(
        IndexOutOfBoundsException.class, () -> dataset.batches(new int[] {50}, 1, 1).close());
    assertThrows(IllegalArgumentException.class, () -> dataset.batches(0, 1).close());
    assertThrows(IllegalArgumentException.class, () -> dataset.batches(1, 0).close());
    try (Batches none = dataset.batches(new int[0], 1, 1)) {
      assertFalse(none.hasNext());
    }
  }

  @Test
  void inMemoryIsTheSame() throws IOException {
    ImageDataset memory = dataset.inMemory(2);
    assertArrayEquals(dataset.load(2), memory.load(1));
    assertArrayEquals(dataset.labels(), memory.labels());
  }

  @Test
  void takesImagesThatWerePreparedElsewhere() throws IOException {
    float[] images = {1, 2, 3, 4, 5, 6, 7, 8};
    ImageDataset given = ImageDataset.of(images, new int[] {1, 0}, 1, 2, 2);
    float[] out = new float[5];
    given.read(1, out, 1);
    assertArrayEquals(new float[] {0, 5, 6, 7, 8}, out);
    assertThrows(
        IllegalArgumentException.class, () -> ImageDataset.of(images, new int[] {1}, 1, 2, 2));
  }

  @Test
  void augmentationDependsOnEpochAndImageAlone() throws IOException {
    Augmentation augmentation = Augmentation.cropAndFlip(9);
    float[] all = dataset.augmented(augmentation, 1).load(2);
    assertArrayEquals(all, dataset.inMemory(1).augmented(augmentation, 1).load(1));
    assertFalse(Arrays.equals(all, dataset.augmented(augmentation, 2).load(1)));
    int[] order = dataset.shuffled(1, 1);
    try (Batches batches = dataset.augmented(augmentation, 1).batches(order, 50, 3)) {
      Batch batch = batches.next();
      for (int i = 0; i < 50; i++) {
        assertArrayEquals(
            Arrays.copyOfRange(all, order[i] * 120, order[i] * 120 + 120),
            Arrays.copyOfRange(batch.images(), i * 120, i * 120 + 120));
      }
    }
  }

  @Test
  void shuffledIsAPermutationForSeedAndEpoch() {
    int[] order = dataset.shuffled(1, 2);
    assertArrayEquals(order, dataset.shuffled(1, 2));
    assertArrayEquals(IntStream.range(0, 50).toArray(), IntStream.of(order).sorted().toArray());
    assertNotEquals(Arrays.toString(order), Arrays.toString(dataset.shuffled(1, 3)));
    assertNotEquals(Arrays.toString(order), Arrays.toString(dataset.shuffled(2, 2)));
    int[] recorded = {17, 16, 2, 12, 4, 1, 9, 3, 13, 19, 5, 10, 0, 8, 6, 18, 7, 15, 14, 11};
    ImageDataset twenty = ImageDataset.of(new float[20], new int[20], 1, 1, 1);
    assertArrayEquals(recorded, twenty.shuffled(1, 2), "the order may not change between JDKs");
  }

  @Test
  void aDamagedFileStopsWithItsName() throws IOException {
    Path folderOfOne = Files.createDirectories(root.resolve("cat"));
    byte[] png = Files.readAllBytes(Golden.SOURCE.resolve("rgb.png"));
    for (int i = 0; i < 20; i++) {
      boolean damaged = i == 11 || i == 13;
      Files.write(
          folderOfOne.resolve("%02d.png".formatted(i)),
          damaged ? Arrays.copyOf(png, png.length / 2) : png);
    }
    ImageDataset cats = ImageDataset.of(ImageFolder.read(root), GREY);
    try (Batches batches = cats.batches(4, 3)) {
      batches.next();
      batches.next();
      String message = assertThrows(IOException.class, batches::next).getMessage();
      assertTrue(
          message.startsWith(folderOfOne.resolve("11.png") + ": the PNG is cut off"), message);
      assertFalse(batches.hasNext());
      assertEquals(0, readers());
      assertThrows(NoSuchElementException.class, batches::next);
    }
  }

  @Test
  void closingInTheMiddleEndsTheThreads() throws IOException {
    Batches batches = dataset.batches(3, 4);
    batches.next();
    assertTrue(readers() > 0);
    batches.close();
    assertEquals(0, readers());
    assertFalse(batches.hasNext());
  }

  @Test
  void anInterruptStopsAndStays() {
    Batches batches = dataset.batches(3, 2);
    Thread.currentThread().interrupt();
    try {
      assertThrows(InterruptedIOException.class, batches::next);
      assertTrue(Thread.interrupted());
      assertFalse(batches.hasNext());
    } finally {
      boolean unused = Thread.interrupted();
      batches.close();
    }
  }

  private static long readers() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().equals("lqf-image-reader"))
        .count();
  }
}
