package org.lqf.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.Base64;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;

class ThumbnailTest {

  private static BufferedImage decode(String uri) throws IOException {
    byte[] bytes = Base64.getDecoder().decode(uri.substring(uri.indexOf(',') + 1));
    return ImageIO.read(new ByteArrayInputStream(bytes));
  }

  @Test
  void aLargePictureShrinksInItsProportions() throws IOException {
    BufferedImage large = new BufferedImage(4 * Thumbnail.SIDE, 300, BufferedImage.TYPE_INT_RGB);
    var graphics = large.createGraphics();
    graphics.setColor(Color.ORANGE);
    graphics.fillRect(0, 0, large.getWidth(), large.getHeight());
    graphics.dispose();
    Thumbnail thumbnail = Thumbnail.of(large);
    assertEquals(Thumbnail.SIDE, thumbnail.width());
    assertEquals(75, thumbnail.height());
    assertEquals(1, thumbnail.enlargement());
    assertTrue(thumbnail.dataUri().startsWith("data:image/jpeg;base64,"));
    Color seen = new Color(decode(thumbnail.dataUri()).getRGB(50, 30));
    assertEquals(Color.ORANGE.getRed(), seen.getRed(), 6);
    assertEquals(Color.ORANGE.getGreen(), seen.getGreen(), 6);
    assertEquals(1, Thumbnail.of(new BufferedImage(9000, 3, BufferedImage.TYPE_INT_RGB)).height());
  }

  @Test
  void aSmallPictureKeepsItsPixels() throws IOException {
    BufferedImage small = new BufferedImage(28, 20, BufferedImage.TYPE_BYTE_GRAY);
    small.getRaster().setSample(5, 7, 0, 200);
    Thumbnail thumbnail = Thumbnail.of(small);
    assertEquals(4, thumbnail.enlargement());
    BufferedImage decoded = decode(thumbnail.dataUri());
    assertEquals(28, decoded.getWidth());
    assertEquals(0xffc8c8c8, decoded.getRGB(5, 7));
    assertEquals(0xff000000, decoded.getRGB(6, 7));
  }

  /** Java takes grey samples for linear light; viewers do not. */
  @Test
  void greyStaysAsStoredWhenItShrinks() {
    BufferedImage large = new BufferedImage(900, 700, BufferedImage.TYPE_BYTE_GRAY);
    for (int y = 0; y < 700; y++) {
      for (int x = 0; x < 900; x++) {
        large.getRaster().setSample(x, y, 0, 200);
      }
    }
    assertEquals(0xffc8c8c8, Thumbnail.of(large).image().getRGB(40, 40));
  }
}
