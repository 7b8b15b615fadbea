package org.lqf.tune;

import java.io.IOException;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.ImageDataset;

/**
 * How fast this machine is at the parts of a training, tried out with a few images: seconds. Each
 * part is repeated and its least time taken, for what disturbs it can only make it slower.
 */
final class Speeds {

  static final int IMAGES = 8; // sent through the network

  private static final double ENOUGH = 0.05; // seconds that a part is repeated for, at least twice

  /**
   * Floats of a piece of memory. The C library maps pieces of more than 32 MB apart and gives them
   * back; smaller ones would change how it keeps later ones.
   */
  private static final int NEW_FLOATS = 9 << 20;

  private final Engine engine;
  private final double read;
  private final double forward;
  private final double jvp;
  private final double vjp;
  private final double newByte;

  /** Work that is timed. */
  @FunctionalInterface
  private interface Work {
    void run() throws IOException;
  }

  /**
   * @param plan of the network and its layers, for {@link #IMAGES} if there are so many
   * @param readers threads that will read images
   */
  Speeds(Engine engine, Plan plan, ImageDataset images, int readers) throws IOException {
    this.engine = engine;
    int n = Math.min(images.size(), IMAGES);
    float[] batch = new float[n * images.floats()];
    try (DeviceVector delta = engine.vector(plan.parameters());
        DeviceVector outputs = engine.vector((long) n * plan.classes())) {
      read =
          least(
                  () -> {
                    for (int i = 0; i < n; i++) {
                      images.read(i, batch, i * images.floats());
                    }
                  },
                  0) // twice: it fills Java's heap
              / n
              / readers;
      forward = least(() -> plan.forward(batch, n)) / n;
      jvp = least(() -> plan.jvp(delta, outputs)) / n;
      vjp = least(() -> plan.vjp(outputs, delta)) / n;
    }
    newByte =
        engine.describe().startsWith("cpu")
            ? least(() -> engine.vector(NEW_FLOATS).fill(1).close()) / (4.0 * NEW_FLOATS)
            : 0;
  }

  /** An image, decoded and scaled. */
  double read() {
    return read;
  }

  /** An image. */
  double forward() {
    return forward;
  }

  /** An image. */
  double jvp() {
    return jvp;
  }

  /** An image. */
  double vjp() {
    return vjp;
  }

  /** Memory when it is written for the first time, in bytes. */
  double fresh(long bytes) {
    return bytes * newByte;
  }

  /** Seconds of the quickest of at least two runs. */
  private double least(Work work) throws IOException {
    return least(work, ENOUGH);
  }

  private double least(Work work, double enough) throws IOException {
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
