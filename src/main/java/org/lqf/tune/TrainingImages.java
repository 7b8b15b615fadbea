package org.lqf.tune;

import java.io.IOException;
import org.lqf.image.Augmentation;
import org.lqf.image.Batch;
import org.lqf.image.Batches;
import org.lqf.image.ImageDataset;
import org.lqf.solve.Samples;

/** The training images with scaled one-hot targets, as the solvers walk through them. */
final class TrainingImages implements Samples {

  private final ImageDataset images;
  private final int classes;
  private final double targetScale;
  private final int batch;
  private final LqfConfig config;
  private final TrainingListener listener;

  /**
   * @param batch the most images handed over at once
   */
  TrainingImages(
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
