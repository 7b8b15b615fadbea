package org.lqf.solve;

import java.io.IOException;

/** Images with targets that can be walked through again and again, batch by batch. */
public interface Samples {

  /** The pass whose images are unchanged and in their own order: what the problem is defined by. */
  int IN_ORDER = -1;

  /** Takes one batch; the arrays are the visitor's only until it returns. */
  @FunctionalInterface
  interface Visitor {
    /**
     * Takes the next batch.
     *
     * @param images [n, channels, height, width]
     * @param targets [n, classes]
     */
    void visit(float[] images, int n, float[] targets);
  }

  /** N, the images of one pass. */
  int size();

  /**
   * Visits every image once.
   *
   * @param pass {@link #IN_ORDER}, or an epoch ≥ 0: it decides the order and any augmentation
   * @throws IOException if an image cannot be read; the message names it
   */
  void forEach(int pass, Visitor visitor) throws IOException;
}
