package org.lqf.tune;

import java.io.IOException;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.image.ImageDataset;
import org.lqf.model.Macs;
import org.lqf.solve.GramWork;

/**
 * How fast this machine is at the parts of a training, tried out with a few images. Each part is
 * repeated and its least time taken, for what disturbs it can only make it slower.
 *
 * @param read seconds an image, decoded and scaled
 * @param forward seconds an image
 * @param jvp seconds an image
 * @param forwardJvp seconds an image, both in one walk
 * @param vjp seconds an image
 * @param newByte seconds a byte of memory that is written for the first time
 * @param product seconds a multiply-add of {@link GramWork#products}, 0 where none will be taken
 */
record Speeds(
    double read,
    double forward,
    double jvp,
    double forwardJvp,
    double vjp,
    double newByte,
    double product) {

  static final int IMAGES = 8; // sent through the network

  private static final double ENOUGH = 0.05; // seconds that a part is repeated for

  /**
   * Floats of a piece of memory. The C library maps pieces of more than 32 MB apart and gives them
   * back; smaller ones would change how it keeps later ones.
   */
  private static final int NEW_FLOATS = 9 << 20;

  private static final int ROW = 4096; // floats of a row, enough for a matrix unit to be used
  private static final double PRODUCTS = 0.1; // seconds, at the pace of convolutions, at most

  /** Work that is timed. */
  @FunctionalInterface
  private interface Work {
    void run() throws IOException;
  }

  /**
   * @param plan of the network and its layers, for {@link #IMAGES} if there are so many
   * @param readers threads that will read images
   * @param side of the Gram matrix that may be computed, 0 for none
   */
  static Speeds of(Engine engine, Plan plan, ImageDataset images, int readers, long side)
      throws IOException {
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
      double reading = least(engine, 0, read) / n / readers; // no more: it fills Java's heap
      double forward = least(engine, ENOUGH, () -> plan.forward(batch, n)) / n;
      double jvp = least(engine, ENOUGH, () -> plan.jvp(delta, outputs)) / n;
      double forwardJvp =
          least(engine, ENOUGH, () -> plan.forwardJvp(batch, n, delta, outputs)) / n;
      double vjp = least(engine, ENOUGH, () -> plan.vjp(outputs, delta)) / n;
      return new Speeds(
          reading,
          forward,
          jvp,
          forwardJvp,
          vjp,
          engine.describe().startsWith("cpu")
              ? least(engine, ENOUGH, () -> engine.vector(NEW_FLOATS).fill(1).close())
                  / (4.0 * NEW_FLOATS)
              : 0,
          side == 0 ? 0 : product(engine, side, vjp / (2 * Macs.of(plan.backbone()))));
    }
  }

  /** Of as many rows as K has, or as there is room and time for. */
  private static double product(Engine engine, long side, double macSeconds) throws IOException {
    double most = Math.sqrt(2 * PRODUCTS / macSeconds / ROW);
    int rows = (int) Math.max(1, Math.min(most, (double) Math.min(side, NEW_FLOATS / ROW)));
    try (DeviceVector vectors = engine.vector(NEW_FLOATS);
        SymmetricMatrix matrix = engine.matrix(rows)) {
      return least(engine, ENOUGH, () -> matrix.gram(0, vectors, rows, 0, vectors, rows, ROW))
          / GramWork.products(rows, ROW, 1);
    }
  }

  /** Seconds of the quickest of at least three runs, as many as take so long together. */
  private static double least(Engine engine, double enough, Work work) throws IOException {
    double least = Double.POSITIVE_INFINITY;
    double all = 0;
    for (int run = 0; run < 3 || all < enough; run++) {
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
