package org.lqf.image;

import java.io.IOException;
import java.util.Arrays;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Labelled images, prepared for a network, each read when it is asked for. Immutable and
 * thread-safe; {@link #inMemory} and {@link #augmented} give further data sets.
 */
public final class ImageDataset {

  private interface Reader {
    void read(int index, float[] out, int offset) throws IOException;
  }

  private final int channels;
  private final int height;
  private final int width;
  private final int[] labels;
  private final Reader reader;

  private ImageDataset(int channels, int height, int width, int[] labels, Reader reader) {
    this.channels = channels;
    this.height = height;
    this.width = width;
    this.labels = labels;
    this.reader = reader;
  }

  /** The images of a folder; every read decodes the file anew. */
  public static ImageDataset of(ImageFolder folder, ImageTransform transform) {
    return new ImageDataset(
        transform.channels(),
        transform.height(),
        transform.width(),
        folder.labels(),
        (index, out, offset) ->
            transform.applyInto(
                ImageDecoder.pixels(folder.images().get(index).path()), out, offset));
  }

  /**
   * Images that were prepared elsewhere.
   *
   * @param images [labels.length, channels, height, width], not copied
   * @param labels copied
   */
  public static ImageDataset of(float[] images, int[] labels, int channels, int height, int width) {
    int floats = Math.multiplyExact(Math.multiplyExact(channels, height), width);
    if (floats < 1 || images.length != (long) floats * labels.length) {
      throw new IllegalArgumentException(
          "%d images of %dx%dx%d are %d floats, got %d"
              .formatted(
                  labels.length,
                  channels,
                  height,
                  width,
                  (long) floats * labels.length,
                  images.length));
    }
    return new ImageDataset(
        channels,
        height,
        width,
        labels.clone(),
        (index, out, offset) -> System.arraycopy(images, index * floats, out, offset, floats));
  }

  public int size() {
    return labels.length;
  }

  public int channels() {
    return channels;
  }

  public int height() {
    return height;
  }

  public int width() {
    return width;
  }

  /** Floats of one image: channels · height · width. */
  public int floats() {
    return channels * height * width;
  }

  public int label(int index) {
    return labels[index];
  }

  /** Label of each image, a fresh array [size()]. */
  public int[] labels() {
    return labels.clone();
  }

  /**
   * Reads one image.
   *
   * @param out [channels, height, width] from {@code offset} on, overwritten
   * @throws IOException if its file cannot be read or decoded; the message names it
   */
  public void read(int index, float[] out, int offset) throws IOException {
    int unused = Objects.checkIndex(index, size());
    unused = Objects.checkFromIndexSize(offset, floats(), out.length);
    reader.read(index, out, offset);
  }

  /**
   * Reads everything.
   *
   * @param threads that decode
   * @return [size(), channels, height, width]
   * @throws IOException if an image cannot be read; the message names it
   * @throws IllegalArgumentException if it is more than an array can hold, 2^31 − 1 floats
   */
  public float[] load(int threads) throws IOException {
    long total = (long) size() * floats();
    if (total > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "%d images of %d floats do not fit into one array; read them batch by batch"
              .formatted(size(), floats()));
    }
    float[] all = new float[(int) total];
    try (Batches batches = batches(64, threads)) {
      for (int at = 0; batches.hasNext(); ) {
        float[] images = batches.next().images();
        System.arraycopy(images, 0, all, at, images.length);
        at += images.length;
      }
    }
    return all;
  }

  /** The same images, decoded once and held as floats: 4 · size() · floats() bytes. */
  public ImageDataset inMemory(int threads) throws IOException {
    return of(load(threads), labels, channels, height, width);
  }

  /** The same images as they are shown in one epoch of training. */
  public ImageDataset augmented(Augmentation augmentation, int epoch) {
    return new ImageDataset(
        channels,
        height,
        width,
        labels,
        (index, out, offset) -> {
          float[] image = new float[floats()];
          reader.read(index, image, 0);
          augmentation.apply(image, 0, out, offset, channels, height, width, epoch, index);
        });
  }

  /**
   * Some of the images, in the order of their indices here.
   *
   * @param indices into this data set, copied
   */
  public ImageDataset select(int[] indices) {
    int[] chosen = indices.clone();
    int[] chosenLabels = Arrays.stream(chosen).map(this::label).toArray();
    return new ImageDataset(
        channels,
        height,
        width,
        chosenLabels,
        (index, out, offset) -> reader.read(chosen[index], out, offset));
  }

  /** 0..size()−1 in an order that depends on seed and epoch alone. */
  public int[] shuffled(long seed, int epoch) {
    SplittableRandom random = new SplittableRandom(Seeds.mix(seed, epoch));
    int[] order = IntStream.range(0, size()).toArray();
    for (int i = order.length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
    return order;
  }

  /** All images in their own order, read ahead by {@code threads} threads. */
  public Batches batches(int batchSize, int threads) {
    return batches(IntStream.range(0, size()).toArray(), batchSize, threads);
  }

  /**
   * Images in a given order, read ahead by {@code threads} threads. The batches do not depend on
   * the number of threads.
   *
   * @param order indices into this data set, copied; any selection, also with repetitions
   */
  public Batches batches(int[] order, int batchSize, int threads) {
    for (int index : order) {
      int unused = Objects.checkIndex(index, size());
    }
    return new Batches(this, order.clone(), batchSize, threads);
  }
}
