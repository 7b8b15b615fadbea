package org.lqf.report;

import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Base64;
import javax.imageio.ImageIO;
import org.lqf.image.ImageDecoder;

/**
 * A small copy of an image file.
 *
 * @param image at most {@link #SIDE} pixels wide and high, TYPE_INT_RGB, not copied
 * @param small whether the original is no larger, so that its pixels may be shown as squares
 */
public record Thumbnail(BufferedImage image, boolean small) {

  /** Pixels of the longer side, at most. */
  public static final int SIDE = 112;

  /**
   * Reads a file.
   *
   * @throws IOException if it cannot be decoded; the message names it
   */
  public static Thumbnail of(Path file) throws IOException {
    return of(ImageDecoder.decode(file));
  }

  static Thumbnail of(BufferedImage original) {
    double ratio = SIDE / (double) Math.max(original.getWidth(), original.getHeight());
    boolean small = ratio >= 1;
    BufferedImage image = original;
    int width = small ? image.getWidth() : side(original.getWidth(), ratio);
    int height = small ? image.getHeight() : side(original.getHeight(), ratio);
    // Bilinear scaling looks at 2×2 pixels, so that large pictures shrink by halves.
    while (image.getWidth() > 2 * width && image.getHeight() > 2 * height) {
      image = scaled(image, image.getWidth() / 2, image.getHeight() / 2);
    }
    return new Thumbnail(scaled(image, width, height), small);
  }

  private static int side(int pixels, double ratio) {
    return Math.max(1, (int) Math.round(pixels * ratio));
  }

  private static BufferedImage scaled(BufferedImage image, int width, int height) {
    BufferedImage scaled = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = scaled.createGraphics();
    graphics.setRenderingHint(
        RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR);
    graphics.drawImage(image, 0, 0, width, height, null);
    graphics.dispose();
    return scaled;
  }

  public int width() {
    return image.getWidth();
  }

  public int height() {
    return image.getHeight();
  }

  /** By which whole factor it is shown, so that the pixels of a small picture stay squares. */
  public int enlargement() {
    return small ? Math.max(1, SIDE / Math.max(width(), height())) : 1;
  }

  /** The picture as the address of an img element: PNG where pixels count, else JPEG. */
  public String dataUri() throws IOException {
    String format = small ? "png" : "jpeg";
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    if (!ImageIO.write(image, format, bytes)) {
      throw new IOException("this Java cannot write " + format);
    }
    return "data:image/%s;base64,%s"
        .formatted(format, Base64.getEncoder().encodeToString(bytes.toByteArray()));
  }
}
