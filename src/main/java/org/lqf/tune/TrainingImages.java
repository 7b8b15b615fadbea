package org.lqf.tune;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.lqf.image.Augmentation;
import org.lqf.image.Batch;
import org.lqf.image.Batches;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.image.ImageTransform;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.model.Shape;
import org.lqf.solve.Samples;

/** Training images with scaled one-hot targets, as the solvers walk through them. */
public final class TrainingImages implements Samples {

  private static final long ACTIVATION_BYTES = 1L << 28; // of one batch of many
  private static final int MAX_BATCH = 64;

  /** Part of the free memory that activations may take so that a plan keeps all images. */
  private static final double KEPT_SHARE = 0.25;

  private final ImageDataset images;
  private final int classes;
  private final double targetScale;
  private final int batch;
  private final LqfConfig config;
  private final TrainingListener listener;

  /**
   * @param batch the most images handed over at once
   */
  public TrainingImages(
      ImageDataset images,
      int classes,
      double targetScale,
      int batch,
      LqfConfig config,
      TrainingListener listener) {
    this.images = images;
    this.classes = classes;
    this.targetScale = targetScale;
    this.batch = batch;
    this.config = config;
    this.listener = listener;
  }

  /**
   * The images that a model was trained on, or others with its classes.
   *
   * @param network the model's, see {@link LinearisedModel#attach}
   * @param folder whose classes are the model's, in its order
   * @param readers threads that decode images
   * @throws IOException if an image cannot be read; the message names it
   */
  public static TrainingImages of(
      LinearisedModel model,
      Backbone network,
      ImageFolder folder,
      int readers,
      TrainingListener listener)
      throws IOException {
    ImageDataset images = prepare(folder, model.input(), readers);
    LqfConfig config = LqfConfig.defaults().withReaders(readers);
    int batch = batch(network, folder.size());
    int classes = folder.classes().size();
    return new TrainingImages(images, classes, model.fit().targetScale(), batch, config, listener);
  }

  /** The names and digests of these images, with no history. */
  public static Provenance provenance(ImageFolder folder) throws IOException {
    List<String> digests = folder.fileDigests();
    List<Provenance.Image> images = new ArrayList<>();
    for (int i = 0; i < folder.size(); i++) {
      String name = folder.images().get(i).relativeName();
      images.add(new Provenance.Image(name, digests.get(i)));
    }
    return new Provenance(images, List.of());
  }

  /** Decodes all images once if they fit into a quarter of Java's memory, else at every pass. */
  public static ImageDataset prepare(ImageFolder folder, InputSpec input, int readers)
      throws IOException {
    return prepare(folder, input, readers, fitInMemory(folder.size(), input));
  }

  /**
   * Decodes all images once, or at every pass.
   *
   * @param held whether they stay in memory
   */
  static ImageDataset prepare(ImageFolder folder, InputSpec input, int readers, boolean held)
      throws IOException {
    ImageDataset onDisk = ImageDataset.of(folder, transform(input));
    return held ? onDisk.inMemory(readers) : onDisk;
  }

  /** Whether prepared images fit into a quarter of Java's memory, and into one array. */
  static boolean fitInMemory(long images, InputSpec input) {
    long floats = images * input.shape().size();
    return 4 * floats < Runtime.getRuntime().maxMemory() / 4 && floats < Integer.MAX_VALUE;
  }

  static ImageTransform transform(InputSpec input) {
    return new ImageTransform(
        input.channels(), input.height(), input.width(), input.mean(), input.std());
  }

  /**
   * All images if their activations fit into memory, else as many as suit a batch; nothing but the
   * time depends on it.
   */
  private static int batch(Backbone network, int images) {
    long bytes = 4 * network.shapes().values().stream().mapToLong(Shape::size).sum();
    if (images * bytes < KEPT_SHARE * FreeMemory.bytes()) {
      return images;
    }
    return (int) Math.max(1, Math.min(MAX_BATCH, ACTIVATION_BYTES / bytes));
  }

  /** The same images, no more than so many handed over at once. */
  public TrainingImages inBatchesOf(int most) {
    return new TrainingImages(
        images, classes, targetScale, Math.min(batch, most), config, listener);
  }

  /** The most images handed over at once. */
  public int batch() {
    return batch;
  }

  @Override
  public int size() {
    return images.size();
  }

  @Override
  public void forEach(int pass, Visitor visitor) throws IOException {
    try (Batches batches = batches(pass)) {
      for (int done = 0; batches.hasNext(); ) {
        Batch next = batches.next();
        float[] targets = new float[next.n() * classes];
        for (int i = 0; i < next.n(); i++) {
          targets[i * classes + next.labels()[i]] = (float) targetScale;
        }
        visitor.visit(next.images(), next.n(), targets);
        done += next.n();
        listener.images(done, images.size());
      }
    }
  }

  private Batches batches(int pass) {
    if (pass == IN_ORDER) {
      return images.batches(batch, config.readers());
    }
    ImageDataset shown =
        config.augment() ? images.augmented(Augmentation.cropAndFlip(config.seed()), pass) : images;
    int[] order = images.shuffled(config.seed(), pass);
    return shown.batches(order, Math.min(batch, config.batch()), config.readers());
  }
}
