package org.lqf.explain;

import java.io.IOException;
import java.util.List;
import org.lqf.solve.Samples;

/**
 * Several sets of images one after the other; every pass is in order.
 *
 * @param parts at least one
 */
public record SampleUnion(List<Samples> parts) implements Samples {

  public SampleUnion {
    parts = List.copyOf(parts);
    if (parts.isEmpty()) {
      throw new IllegalArgumentException("a union of no sets of images");
    }
  }

  public static SampleUnion of(Samples first, Samples second) {
    return new SampleUnion(List.of(first, second));
  }

  @Override
  public int size() {
    return Math.toIntExact(parts.stream().mapToLong(Samples::size).sum());
  }

  @Override
  public void forEach(int pass, Visitor visitor) throws IOException {
    for (Samples part : parts) {
      part.forEach(IN_ORDER, visitor);
    }
  }
}
