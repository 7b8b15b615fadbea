package org.lqf.report;

import java.awt.Color;
import java.awt.Font;
import java.awt.FontMetrics;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import javax.imageio.ImageIO;
import org.lqf.model.AtomicFile;

/**
 * Rows of images with their captions in one picture, for places where a page cannot go.
 *
 * @param rows from top to bottom
 */
public record ContactSheet(List<Row> rows) {

  /** Tiles under a heading. */
  public record Row(String heading, List<Tile> tiles) {
    public Row {
      tiles = List.copyOf(tiles);
    }
  }

  private static final int GAP = 10; // pixels, as all here
  private static final int CELL = Thumbnail.SIDE + 48;
  private static final int EDGE = 3;
  private static final int LINE = 15;
  private static final int HEADING = 26;
  private static final Font TEXT = new Font(Font.SANS_SERIF, Font.PLAIN, 12);
  private static final Font HEAD = new Font(Font.SANS_SERIF, Font.BOLD, 15);

  public ContactSheet {
    rows = List.copyOf(rows);
  }

  /** The picture as wide as the longest row. */
  public BufferedImage draw() {
    int most = rows.stream().mapToInt(row -> row.tiles.size()).max().orElse(1);
    int height = GAP + rows.stream().mapToInt(ContactSheet::height).sum();
    BufferedImage sheet =
        new BufferedImage(
            GAP + Math.max(most, 4) * (CELL + GAP), height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = sheet.createGraphics();
    graphics.setRenderingHint(
        RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
    graphics.setColor(Color.WHITE);
    graphics.fillRect(0, 0, sheet.getWidth(), height);
    int top = GAP;
    for (Row row : rows) {
      graphics.setColor(Color.BLACK);
      graphics.setFont(HEAD);
      graphics.drawString(fit(row.heading, graphics, sheet.getWidth() - 2 * GAP), GAP, top + 15);
      for (int i = 0; i < row.tiles.size(); i++) {
        draw(graphics, row.tiles.get(i), GAP + i * (CELL + GAP), top + HEADING);
      }
      top += height(row);
    }
    graphics.dispose();
    return sheet;
  }

  private static int height(Row row) {
    int lines = row.tiles.stream().mapToInt(tile -> 1 + tile.lines().size()).max().orElse(0);
    return HEADING + (lines == 0 ? 0 : Thumbnail.SIDE + 2 * EDGE + LINE * lines) + 2 * GAP;
  }

  private static void draw(Graphics2D graphics, Tile tile, int left, int top) {
    Thumbnail shown = tile.images().get(0);
    int width = shown.enlargement() * shown.width();
    int height = shown.enlargement() * shown.height();
    graphics.setColor(new Color(tile.tone().rgb));
    graphics.fillRect(left, top, width + 2 * EDGE, height + 2 * EDGE);
    graphics.drawImage(shown.image(), left + EDGE, top + EDGE, width, height, null);
    graphics.setFont(TEXT);
    graphics.setColor(Color.BLACK);
    int baseline = top + Thumbnail.SIDE + 2 * EDGE + LINE;
    graphics.drawString(fit(tile.name(), graphics, CELL), left, baseline);
    for (String line : tile.lines()) {
      baseline += LINE;
      graphics.drawString(fit(line, graphics, CELL), left, baseline);
    }
  }

  /** The text, cut with an ellipsis where it is too wide; control characters are left out. */
  private static String fit(String text, Graphics2D graphics, int width) {
    FontMetrics metrics = graphics.getFontMetrics();
    String clean = text.replaceAll("\\p{Cntrl}", "");
    if (metrics.stringWidth(clean) <= width) {
      return clean;
    }
    int end = clean.length();
    while (end > 0 && metrics.stringWidth(clean.substring(0, end) + "…") > width) {
      end--;
    }
    return clean.substring(0, end) + "…";
  }

  /** Writes it as PNG; the file appears as a whole or not at all, and replaces one of that name. */
  public void write(Path file) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    if (!ImageIO.write(draw(), "png", bytes)) {
      throw new IOException("this Java cannot write PNG");
    }
    ByteBuffer content = ByteBuffer.wrap(bytes.toByteArray());
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, content));
  }
}
