package org.lqf.baseline;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Tables and plots of a comparison. */
public final class ComparisonPage {
  private ComparisonPage() {}

  public static List<Path> write(
      Path folder, Comparison comparison, List<Run> runs, String command, String engine)
      throws IOException {
    return List.of(folder.resolve("compare.csv"));
  }
}
