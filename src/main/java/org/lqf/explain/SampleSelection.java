package org.lqf.explain;

import java.io.IOException;
import java.util.Arrays;
import java.util.Objects;
import org.lqf.solve.Samples;

/** Some of the images of another set, in its order; every pass is in order. */
public final class SampleSelection implements Samples {

  private final Samples all;
  private final boolean[] kept; // [all.size()]
  private final int size;

  private SampleSelection(Samples all, boolean[] kept) {
    this.all = all;
    this.kept = kept;
    int count = 0;
    for (boolean keep : kept) {
      count += keep ? 1 : 0;
    }
    this.size = count;
  }

  /** All but some. */
  public static SampleSelection without(Samples all, int[] removed) {
    boolean[] kept = new boolean[all.size()];
    Arrays.fill(kept, true);
    for (int index : removed) {
      kept[Objects.checkIndex(index, kept.length)] = false;
    }
    return new SampleSelection(all, kept);
  }

  @Override
  public int size() {
    return size;
  }

  /** The batches are those of the other set with the images left out, so they may be smaller. */
  @Override
  public void forEach(int pass, Visitor visitor) throws IOException {
    int[] at = new int[1];
    all.forEach(
        IN_ORDER,
        (images, n, targets) -> {
          int floats = images.length / n;
          int classes = targets.length / n;
          int count = 0;
          for (int i = 0; i < n; i++) {
            if (kept[at[0]++]) {
              System.arraycopy(images, i * floats, images, count * floats, floats);
              System.arraycopy(targets, i * classes, targets, count * classes, classes);
              count++;
            }
          }
          if (count > 0) {
            visitor.visit(
                Arrays.copyOf(images, count * floats),
                count,
                Arrays.copyOf(targets, count * classes));
          }
        });
  }
}
