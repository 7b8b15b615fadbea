package org.lqf.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.lqf.report.LinePlot;

/**
 * Draws a CSV of losses (first column epochs, one further column for each curve, lines of # left
 * out) as an SVG with a logarithmic loss axis.
 */
public final class LossPlot {

  private LossPlot() {}

  /** Arguments: the CSV to read, the SVG to write. */
  public static void main(String[] args) throws IOException {
    List<String[]> rows =
        Files.readAllLines(Path.of(args[0])).stream()
            .filter(line -> !line.startsWith("#") && !line.isBlank())
            .map(line -> line.split(",", -1))
            .toList();
    String[] names = rows.get(0);
    List<String[]> values = rows.subList(1, rows.size());
    List<LinePlot.Curve> curves = new ArrayList<>();
    for (int c = 1; c < names.length; c++) {
      curves.add(new LinePlot.Curve(names[c], column(values, 0), column(values, c)));
    }
    LinePlot plot =
        new LinePlot(
            new LinePlot.Axis("epochs", false),
            new LinePlot.Axis("training loss", true),
            curves,
            List.of());
    Files.writeString(Path.of(args[1]), plot.svg());
  }

  private static double[] column(List<String[]> rows, int column) {
    return rows.stream().mapToDouble(row -> Double.parseDouble(row[column])).toArray();
  }
}
