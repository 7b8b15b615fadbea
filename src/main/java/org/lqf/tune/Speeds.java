package org.lqf.tune;

import java.io.IOException;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.ImageDataset;

/**
 * How fast this machine is at the parts of a training, tried out with a few images. Each part is
 * repeated and its least time taken, for what disturbs it can only make it slower.
 *
 * @param read seconds an image, decoded and scaled
 * @param forward seconds an image
 * @param jvp seconds an image
 * @param vjp seconds an image
 * @param newByte seconds a byte of memory that is written for the first time
 */
record Speeds(double read, double forward, double jvp, double vjp, double newByte) {

  static final int IMAGES = 8; // sent through the network

  private static final double ENOUGH = 0.05; // seconds that a part is repeated for, at least twice

  /**
   * Floats of a piece of memory. The C library maps pieces of more than 32 MB apart and gives them
   * back; smaller ones would change how it keeps later ones.
   */
  private static final int NEW_FLOATS = 9 << 20;

  /** Work that is timed. */
  @FunctionalInterface
  private interface Work {
    void run() throws IOException;
  }

  /**
   * @param plan of the network and its layers, for {@link #IMAGES} if there are so many
   * @param readers threads that will read images
   */
  static Speeds of(Engine engine, Plan plan, ImageDataset images, int readers) throws IOException {
    int n = Math.min(images.size(), IMAGES);
    float[] batch = new float[n * images.floats()];
    Work read =
        () -> {
          for (int i = 0; i < n; i++) {
            images.read(i, batch, i * images.floats());
          }
        };
    try (DeviceVector delta = engine.vector(plan.parameters());
        DeviceVector outputs = engine.vector((long) n * plan.classes())) {
      return new Speeds(
          least(engine, 0, read) / n / readers, // twice: it fills Java's heap
          least(engine, ENOUGH, () -> plan.forward(batch, n)) / n,
          least(engine, ENOUGH, () -> plan.jvp(delta, outputs)) / n,
          least(engine, ENOUGH, () -> plan.vjp(outputs, delta)) / n,
          engine.describe().startsWith("cpu")
              ? least(engine, ENOUGH, () -> engine.vector(NEW_FLOATS).fill(1).close())
                  / (4.0 * NEW_FLOATS)
              : 0);
    }
  }

  /** Seconds of the quickest of at least two runs, as many as take so long together. */
  private static double least(Engine engine, double enough, Work work) throws IOException {
    double least = Double.POSITIVE_INFINITY;
    double all = 0;
    for (int run = 0; run < 2 || all < enough; run++) {
      long start = System.nanoTime();
      work.run();
      engine.synchronise(); // a GPU only queues what it is asked for
      double seconds = (System.nanoTime() - start) / 1e9;
      least = Math.min(least, seconds);
      all += seconds;
    }
    return least;
  }
}
