package org.lqf.solve;

import java.io.IOException;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * Some of the images, in the order of all; a batch of all makes one of at most its size.
 *
 * @param which at least one, by the place in the pass in order
 */
record Chosen(Samples all, BitSet which) implements Samples {

  @Override
  public int size() {
    return which.cardinality();
  }

  /** Only passes in order have places to choose by. */
  @Override
  public void forEach(int pass, Visitor visitor) throws IOException {
    if (pass != IN_ORDER) {
      throw new IllegalArgumentException("images are chosen from the pass in order, not " + pass);
    }
    int[] first = new int[1];
    all.forEach(
        IN_ORDER,
        (images, n, targets) -> {
          int from = first[0];
          first[0] += n;
          BitSet some = which.get(from, from + n);
          if (!some.isEmpty()) {
            visitor.visit(rows(images, n, some), some.cardinality(), rows(targets, n, some));
          }
        });
  }

  /** The rows [some, length] of [n, length]. */
  private static float[] rows(float[] values, int n, BitSet some) {
    int length = values.length / n;
    float[] rows = new float[some.cardinality() * length];
    int[] at = new int[1];
    some.stream()
        .forEach(i -> System.arraycopy(values, i * length, rows, length * at[0]++, length));
    return rows;
  }

  /** A copy in memory. */
  ImageArray toArray(int batch) throws IOException {
    List<float[]> pixels = new ArrayList<>();
    List<float[]> labels = new ArrayList<>();
    forEach(
        IN_ORDER,
        (images, n, targets) -> {
          pixels.add(images);
          labels.add(targets);
        });
    return new ImageArray(joined(pixels), joined(labels), size(), batch);
  }

  private static float[] joined(List<float[]> pieces) {
    int length = pieces.stream().mapToInt(piece -> piece.length).reduce(0, Math::addExact);
    FloatBuffer all = FloatBuffer.allocate(length);
    pieces.forEach(all::put);
    return all.array();
  }
}
