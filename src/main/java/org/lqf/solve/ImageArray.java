package org.lqf.solve;

import java.util.Arrays;

/**
 * Images in an array as {@link Samples}; every pass is in order.
 *
 * @param images [n, channels, height, width], not copied
 * @param targets [n, classes], not copied
 * @param batch the most images that are handed over at once
 */
public record ImageArray(float[] images, float[] targets, int size, int batch) implements Samples {

  public ImageArray {
    if (size < 1 || batch < 1 || images.length % size != 0 || targets.length % size != 0) {
      throw new IllegalArgumentException(
          "%d floats and %d targets are not %d images, or batch %d is not positive"
              .formatted(images.length, targets.length, size, batch));
    }
  }

  /** Images without targets, which are zero. */
  public static ImageArray unlabelled(float[] images, int size, int classes, int batch) {
    return new ImageArray(images, new float[Math.multiplyExact(size, classes)], size, batch);
  }

  /** Images with targets: scale for the class of the label, 0 for the others. */
  public static ImageArray labelled(
      float[] images, int[] labels, int classes, double scale, int batch) {
    float[] targets = new float[Math.multiplyExact(labels.length, classes)];
    for (int i = 0; i < labels.length; i++) {
      targets[i * classes + labels[i]] = (float) scale;
    }
    return new ImageArray(images, targets, labels.length, batch);
  }

  @Override
  public void forEach(int pass, Visitor visitor) {
    int floats = images.length / size;
    int classes = targets.length / size;
    for (int from = 0; from < size; from += batch) {
      int end = Math.min(size, from + batch);
      visitor.visit(
          Arrays.copyOfRange(images, from * floats, end * floats),
          end - from,
          Arrays.copyOfRange(targets, from * classes, end * classes));
    }
  }
}
