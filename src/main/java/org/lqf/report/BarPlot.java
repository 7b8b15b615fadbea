package org.lqf.report;

import java.util.List;
import java.util.Locale;

/**
 * Horizontal bars from 0 on, with their values.
 *
 * @param axis what a value is
 * @param bars from top to bottom
 */
public record BarPlot(String axis, List<Bar> bars) implements Plot {

  /**
   * A named value.
   *
   * @param value ≥ 0
   * @param deviation drawn as a line of this length to both sides, ≥ 0
   */
  public record Bar(String name, double value, double deviation) {}

  private static final int WIDTH = 680; // pixels, as all here
  private static final int LEFT = 170;
  private static final int RIGHT = 110;
  private static final int TOP = 30;
  private static final int STEP = 26;
  private static final int THICK = 16;

  public BarPlot {
    bars = List.copyOf(bars);
    if (bars.isEmpty()) {
      throw new IllegalArgumentException("a plot without bars");
    }
  }

  @Override
  public String svg() {
    int height = TOP + STEP * bars.size() + 10;
    double most = bars.stream().mapToDouble(bar -> bar.value + bar.deviation).max().orElse(0);
    double scale = most > 0 ? (WIDTH - LEFT - RIGHT) / most : 0; // pixels of 1
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#1f2328\">%n"
            .formatted(WIDTH, height, WIDTH, height));
    svg.append("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
    svg.append(text(LEFT, 16, "start", axis));
    for (int i = 0; i < bars.size(); i++) {
      Bar bar = bars.get(i);
      double top = TOP + STEP * i;
      double middle = top + THICK / 2.0;
      double end = LEFT + scale * bar.value;
      double half = scale * bar.deviation;
      svg.append(text(LEFT - 8, middle + 4, "end", bar.name));
      svg.append(
          format(
              "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"#7ba7d4\"/>%n",
              LEFT, top, end - LEFT, THICK));
      svg.append(
          format(
              "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#1f2328\"/>%n",
              end - half, middle, end + half, middle));
      String value = format("%.1f", bar.value);
      String both = bar.deviation > 0 ? value + format(" ± %.1f", bar.deviation) : value;
      svg.append(text(end + half + 6, middle + 4, "start", both));
    }
    return svg.append("</svg>\n").toString();
  }

  private static String text(double x, double y, String anchor, String what) {
    String escaped = what.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    return format(
        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>%n", x, y, anchor, escaped);
  }

  private static String format(String pattern, Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
