package org.lqf.report;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.Line2D;
import java.awt.geom.Path2D;
import java.awt.geom.Rectangle2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.StringReader;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.lqf.model.AtomicFile;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;
import org.xml.sax.SAXException;

/**
 * A plot as pixels, for places that show no SVG. It draws the elements that plots are made of
 * (rect, line, polyline, text) and no others.
 */
public final class PlotImage {

  private static final int SCALE = 2; // pixels of a unit of the SVG
  private static final float FONT = 12; // units

  private PlotImage() {}

  /** Writes a PNG; the file appears as a whole or not at all. */
  public static void write(Plot plot, Path file) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    if (!ImageIO.write(draw(plot), "png", bytes)) {
      throw new IOException("this Java cannot write PNG");
    }
    ByteBuffer all = ByteBuffer.wrap(bytes.toByteArray());
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, all));
  }

  static BufferedImage draw(Plot plot) {
    Element svg = parse(plot.svg());
    int width = (int) number(svg, "width");
    int height = (int) number(svg, "height");
    BufferedImage image =
        new BufferedImage(SCALE * width, SCALE * height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = image.createGraphics();
    graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
    graphics.setRenderingHint(
        RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
    graphics.scale(SCALE, SCALE);
    graphics.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 1).deriveFont(FONT));
    NodeList children = svg.getChildNodes();
    for (int i = 0; i < children.getLength(); i++) {
      if (children.item(i) instanceof Element element) {
        draw(element, graphics, Color.decode(svg.getAttribute("fill")), width, height);
      }
    }
    graphics.dispose();
    return image;
  }

  private static Element parse(String svg) {
    try {
      return DocumentBuilderFactory.newInstance()
          .newDocumentBuilder()
          .parse(new InputSource(new StringReader(svg)))
          .getDocumentElement();
    } catch (ParserConfigurationException | SAXException | IOException e) {
      throw new IllegalStateException("a plot is no XML: " + e.getMessage(), e);
    }
  }

  private static void draw(Element element, Graphics2D graphics, Color ink, int width, int height) {
    switch (element.getTagName()) {
      case "rect" -> {
        boolean whole = element.getAttribute("width").equals("100%");
        graphics.setColor(colour(element, "fill"));
        graphics.fill(
            whole
                ? new Rectangle2D.Double(0, 0, width, height)
                : new Rectangle2D.Double(
                    number(element, "x"),
                    number(element, "y"),
                    number(element, "width"),
                    number(element, "height")));
      }
      case "line" -> {
        stroke(element, graphics);
        graphics.draw(
            new Line2D.Double(
                number(element, "x1"),
                number(element, "y1"),
                number(element, "x2"),
                number(element, "y2")));
      }
      case "polyline" -> {
        stroke(element, graphics);
        Path2D path = new Path2D.Double();
        for (String point : element.getAttribute("points").split(" ", -1)) {
          if (!point.isEmpty()) { // a curve without a finite point has none
            double[] at =
                Arrays.stream(point.split(",", -1)).mapToDouble(Double::parseDouble).toArray();
            if (path.getCurrentPoint() == null) {
              path.moveTo(at[0], at[1]);
            } else {
              path.lineTo(at[0], at[1]);
            }
          }
        }
        graphics.draw(path);
      }
      case "text" -> {
        String text = element.getTextContent();
        double length = graphics.getFontMetrics().stringWidth(text);
        double part =
            switch (element.getAttribute("text-anchor")) {
              case "end" -> 1;
              case "middle" -> 0.5;
              default -> 0;
            };
        graphics.setColor(ink);
        graphics.drawString(
            text, (float) (number(element, "x") - part * length), (float) number(element, "y"));
      }
      default -> throw new IllegalStateException("a plot with a " + element.getTagName());
    }
  }

  private static void stroke(Element element, Graphics2D graphics) {
    String wide = element.getAttribute("stroke-width");
    String dashes = element.getAttribute("stroke-dasharray").strip();
    float width = wide.isEmpty() ? 1 : Float.parseFloat(wide);
    float[] dash = null;
    if (!dashes.isEmpty()) {
      String[] parts = dashes.split(" ", -1);
      dash = new float[parts.length];
      for (int i = 0; i < dash.length; i++) {
        dash[i] = Float.parseFloat(parts[i]);
      }
    }
    graphics.setStroke(
        new BasicStroke(width, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 10, dash, 0));
    graphics.setColor(colour(element, "stroke"));
  }

  private static Color colour(Element element, String attribute) {
    String name = element.getAttribute(attribute);
    return name.equals("white") ? Color.WHITE : Color.decode(name);
  }

  private static double number(Element element, String attribute) {
    return Double.parseDouble(element.getAttribute(attribute));
  }
}
