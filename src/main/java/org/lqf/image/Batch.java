package org.lqf.image;

/**
 * Some images of an {@link ImageDataset}, owned by whoever took it from {@link Batches}.
 *
 * @param images [n, channels, height, width], contiguous
 * @param labels [n]
 * @param indices [n], position of each image in its data set
 */
public record Batch(float[] images, int[] labels, int[] indices) {

  public Batch {
    if (labels.length == 0
        || labels.length != indices.length
        || images.length % labels.length != 0) {
      throw new IllegalArgumentException(
          "%d labels and %d indices for %d floats"
              .formatted(labels.length, indices.length, images.length));
    }
  }

  /** Images in this batch; the last batch of an epoch may be smaller than the others. */
  public int n() {
    return labels.length;
  }
}
