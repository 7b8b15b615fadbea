package org.lqf.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * Draws a CSV of losses (first column epochs, one further column for each curve, lines of # left
 * out) as an SVG with a logarithmic loss axis.
 */
public final class LossPlot {

  private static final int WIDTH = 640;
  private static final int HEIGHT = 360;
  private static final int LEFT = 60;
  private static final int BOTTOM = 40;
  private static final List<String> COLOURS = List.of("#888888", "#1f6feb", "#d1242f", "#1a7f37");

  private LossPlot() {}

  /** Arguments: the CSV to read, the SVG to write. */
  public static void main(String[] args) throws IOException {
    List<String[]> rows =
        Files.readAllLines(Path.of(args[0])).stream()
            .filter(line -> !line.startsWith("#") && !line.isBlank())
            .map(line -> line.split(",", -1))
            .toList();
    String[] names = rows.get(0);
    List<double[]> values = rows.stream().skip(1).map(LossPlot::numbers).toList();
    double last = values.get(values.size() - 1)[0];
    double top = 0;
    double low = Double.POSITIVE_INFINITY;
    for (double[] row : values) {
      for (int c = 1; c < row.length; c++) {
        if (row[c] > 0) {
          top = Math.max(top, row[c]);
          low = Math.min(low, row[c]);
        }
      }
    }
    int highest = (int) Math.ceil(Math.log10(top));
    int lowest = (int) Math.floor(Math.log10(low));
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">%n"
            .formatted(WIDTH, HEIGHT));
    svg.append("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
    for (int decade = lowest; decade <= highest; decade++) {
      double y = y(decade, lowest, highest);
      svg.append(
          line(LEFT, y, WIDTH - 20, y, "#dddddd") + text(LEFT - 6, y + 4, "end", "1e" + decade));
    }
    for (int epoch = 0; epoch <= last; epoch += 10) {
      svg.append(text(x(epoch, last), HEIGHT - BOTTOM + 18, "middle", Integer.toString(epoch)));
    }
    svg.append(text(WIDTH / 2.0, HEIGHT - 6, "middle", "epochs"));
    svg.append(text(LEFT, 14, "start", "training loss"));
    for (int c = 1; c < names.length; c++) {
      String colour = COLOURS.get((c - 1) % COLOURS.size());
      StringBuilder points = new StringBuilder();
      for (double[] row : values) {
        if (row[c] > 0) {
          points.append(
              String.format(
                  Locale.ROOT,
                  "%.1f,%.1f ",
                  x(row[0], last),
                  y(Math.log10(row[c]), lowest, highest)));
        }
      }
      svg.append(
          "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"%s\"/>%n"
              .formatted(colour, points));
      svg.append(line(WIDTH - 170, 18 + 18 * c, WIDTH - 140, 18 + 18 * c, colour));
      svg.append(text(WIDTH - 134, 22 + 18 * c, "start", names[c]));
    }
    Files.writeString(Path.of(args[1]), svg.append("</svg>\n"));
  }

  private static double[] numbers(String[] cells) {
    double[] row = new double[cells.length];
    for (int i = 0; i < row.length; i++) {
      row[i] = Double.parseDouble(cells[i]);
    }
    return row;
  }

  private static double x(double epoch, double last) {
    return LEFT + epoch / last * (WIDTH - 20 - LEFT);
  }

  private static double y(double decade, int lowest, int highest) {
    return 24 + (highest - decade) / (highest - lowest) * (HEIGHT - BOTTOM - 24);
  }

  private static String line(double x1, double y1, double x2, double y2, String colour) {
    return String.format(
        Locale.ROOT,
        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>%n",
        x1,
        y1,
        x2,
        y2,
        colour);
  }

  private static String text(double x, double y, String anchor, String what) {
    return String.format(
        Locale.ROOT,
        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>%n",
        x,
        y,
        anchor,
        what);
  }
}
