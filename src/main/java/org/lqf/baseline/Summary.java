package org.lqf.baseline;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The runs of a cell in a line of the table.
 *
 * @param error mean over the seeds, in [0, 1]
 * @param std standard deviation over the seeds (n − 1), 0 for a single one
 * @param seeds how many there are
 * @param seconds mean
 */
public record Summary(Run.Cell cell, double error, double std, int seeds, double seconds) {

  private static final Comparator<Run.Cell> ORDER =
      Comparator.comparing(Run.Cell::dataset)
          .thenComparing(Run.Cell::backbone)
          .thenComparing(Run.Cell::order)
          .thenComparing(Run.Cell::method);

  /** For people: percent, deviation, and how many seeds. */
  String text() {
    return "%.1f ± %.1f (%d)".formatted(100 * error, 100 * std, seeds);
  }

  /** One for each cell, in the order of the table. */
  public static List<Summary> of(List<Run> runs) {
    Map<Run.Cell, List<Run>> cells = new TreeMap<>(ORDER);
    for (Run run : runs) {
      cells.computeIfAbsent(run.cell(), cell -> new ArrayList<>()).add(run);
    }
    return cells.entrySet().stream().map(e -> of(e.getKey(), e.getValue())).toList();
  }

  private static Summary of(Run.Cell cell, List<Run> runs) {
    double mean = runs.stream().mapToDouble(Run::error).average().orElseThrow();
    double squares = runs.stream().mapToDouble(run -> Math.pow(run.error() - mean, 2)).sum();
    double std = Math.sqrt(squares / Math.max(1, runs.size() - 1));
    double seconds = runs.stream().mapToDouble(Run::seconds).average().orElseThrow();
    return new Summary(cell, mean, std, runs.size(), seconds);
  }
}
