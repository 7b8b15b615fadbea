package org.lqf.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;

/**
 * Curves as SVG, with axes that are linear or logarithmic.
 *
 * @param curves drawn in this order, at most five
 * @param marks upright lines, such as a chosen value
 */
public record LinePlot(Axis x, Axis y, List<Curve> curves, List<Mark> marks) implements Plot {

  /**
   * What runs along a side of the plot.
   *
   * @param logarithmic decades; then values of 0 and below are left out
   */
  public record Axis(String name, boolean logarithmic) {
    double place(double value) {
      return logarithmic ? Math.log10(value) : value;
    }
  }

  /**
   * A named curve.
   *
   * @param x ascending
   * @param y as many
   */
  public record Curve(String name, double[] x, double[] y) {
    public Curve {
      if (x.length != y.length) {
        throw new IllegalArgumentException(
            "curve %s: %d x for %d y".formatted(name, x.length, y.length));
      }
    }
  }

  /** A value of x with a name. */
  public record Mark(String name, double x) {}

  private static final int WIDTH = 680;
  private static final int HEIGHT = 360;
  private static final int LEFT = 64;
  private static final int RIGHT = 20;
  private static final int TOP = 24;
  private static final int BOTTOM = 44;
  private static final int LETTER = 7; // pixels of a letter, about
  private static final int TICKS = 5; // of a linear axis, about
  // Told apart in grey and by the common kinds of colour blindness, also by their dashes.
  private static final List<String> COLOURS =
      List.of("#0b5cad", "#b3261e", "#1a7f37", "#6b4fa0", "#5c6370");
  private static final List<String> DASHES = List.of("", "7 3", "2 3", "10 3 2 3", "4 6");

  public LinePlot {
    curves = List.copyOf(curves);
    marks = List.copyOf(marks);
    if (curves.isEmpty() || curves.size() > COLOURS.size()) {
      throw new IllegalArgumentException("a plot has 1 to %d curves".formatted(COLOURS.size()));
    }
  }

  /** Ends of an axis in its own measure: logarithms where it is logarithmic. */
  private record Range(double low, double high) {
    static Range of(Axis axis, DoubleStream values) {
      double[] places =
          values.map(axis::place).filter(Double::isFinite).sorted().toArray(); // log 0 is left out
      if (places.length == 0) {
        return new Range(0, 1);
      }
      double low = places[0];
      double high = places[places.length - 1];
      double room = high > low ? 0 : Math.max(0.5, Math.abs(low) / 10);
      return new Range(low - room, high + room);
    }

    double part(double place) {
      return (place - low) / (high - low);
    }
  }

  @Override
  public String svg() {
    Range across = Range.of(x, all(Curve::x));
    Range up = Range.of(y, all(Curve::y));
    StringBuilder svg = new StringBuilder();
    svg.append(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#1f2328\">%n"
            .formatted(WIDTH, HEIGHT, WIDTH, HEIGHT));
    svg.append("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
    for (double tick : ticks(x, across)) {
      double at = across(across, tick);
      svg.append(line(at, TOP, at, HEIGHT - BOTTOM, "#e2e5e9"));
      svg.append(text(at, HEIGHT - BOTTOM + 16, "middle", label(x, tick)));
    }
    for (double tick : ticks(y, up)) {
      double at = up(up, tick);
      svg.append(line(LEFT, at, WIDTH - RIGHT, at, "#e2e5e9"));
      svg.append(text(LEFT - 6, at + 4, "end", label(y, tick)));
    }
    svg.append(text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8, "middle", x.name));
    svg.append(text(LEFT, 14, "start", y.name));
    for (Mark mark : marks) {
      double at = across(across, x.place(mark.x));
      boolean turned = at > WIDTH / 2.0;
      svg.append(line(at, TOP, at, HEIGHT - BOTTOM, "#1f2328"));
      svg.append(
          text(
              at + (turned ? -4 : 4),
              HEIGHT - BOTTOM - 6 - 15 * marks.indexOf(mark),
              turned ? "end" : "start",
              mark.name));
    }
    for (int c = 0; c < curves.size(); c++) {
      svg.append(curve(c, across, up)).append(legend(c));
    }
    return svg.append("</svg>\n").toString();
  }

  private DoubleStream all(ToDoubleArray values) {
    return curves.stream().flatMapToDouble(curve -> DoubleStream.of(values.of(curve)));
  }

  private interface ToDoubleArray {
    double[] of(Curve curve);
  }

  private static double across(Range range, double place) {
    return LEFT + range.part(place) * (WIDTH - RIGHT - LEFT);
  }

  private static double up(Range range, double place) {
    return HEIGHT - BOTTOM - range.part(place) * (HEIGHT - BOTTOM - TOP);
  }

  private String curve(int c, Range across, Range up) {
    Curve curve = curves.get(c);
    StringBuilder points = new StringBuilder();
    for (int i = 0; i < curve.x.length; i++) {
      double atX = x.place(curve.x[i]);
      double atY = y.place(curve.y[i]);
      if (Double.isFinite(atX) && Double.isFinite(atY)) {
        points.append(format("%.1f,%.1f ", across(across, atX), up(up, atY)));
      }
    }
    return format(
        "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\" points=\"%s\"/>%n",
        COLOURS.get(c), DASHES.get(c), points.toString().strip());
  }

  /** The name of a curve behind a piece of it, above the plot. */
  private String legend(int c) {
    ToDoubleFunction<Curve> width = curve -> 40 + LETTER * curve.name.length();
    double rest = curves.stream().skip(c).mapToDouble(width).sum();
    double at = WIDTH - RIGHT - rest;
    return format(
            "<line x1=\"%.1f\" y1=\"10\" x2=\"%.1f\" y2=\"10\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>%n",
            at, at + 24, COLOURS.get(c), DASHES.get(c))
        + text(at + 28, 14, "start", curves.get(c).name);
  }

  /** Places of the grid, in the axis's own measure. */
  private static List<Double> ticks(Axis axis, Range range) {
    double step = 1; // a decade
    if (!axis.logarithmic || range.high - range.low < 1) {
      double rough = (range.high - range.low) / TICKS;
      double power = Math.pow(10, Math.floor(Math.log10(rough)));
      step =
          Stream.of(1.0, 2.0, 5.0, 10.0)
              .map(factor -> factor * power)
              .filter(candidate -> candidate >= rough)
              .findFirst()
              .orElse(10 * power);
    } else {
      step = Math.ceil((range.high - range.low) / 10);
    }
    List<Double> ticks = new ArrayList<>();
    double slack = 1e-9 * (range.high - range.low);
    for (double k = Math.ceil((range.low - slack) / step); k * step <= range.high + slack; k++) {
      ticks.add(k * step);
    }
    return ticks;
  }

  private static String label(Axis axis, double tick) {
    double value = axis.logarithmic ? Math.pow(10, tick) : tick;
    double size = Math.abs(value);
    return value == 0 ? "0" : size >= 1e-3 && size < 1e5 ? plain(value) : format("%.0e", value);
  }

  private static String plain(double value) {
    String text = format("%.4g", value);
    return text.contains(".") ? text.replaceAll("\\.?0+$", "") : text;
  }

  private static String line(double x1, double y1, double x2, double y2, String colour) {
    return format(
        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>%n",
        x1, y1, x2, y2, colour);
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
