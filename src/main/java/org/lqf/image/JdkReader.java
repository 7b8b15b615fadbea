package org.lqf.image;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.Iterator;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.spi.IIORegistry;
import javax.imageio.spi.ImageReaderSpi;
import javax.imageio.stream.MemoryCacheImageInputStream;

/**
 * The readers that come with the JDK. A plugin on the class path of the host would otherwise take
 * their place, and decode some files to other values.
 */
final class JdkReader {

  private static final ImageReaderSpi JPEG = find("jpeg");
  private static final ImageReaderSpi PNG = find("png");

  private JdkReader() {}

  /** A reader of a JPEG file; to be disposed of. */
  static ImageReader jpeg(byte[] file) throws IOException {
    return open(JPEG, file);
  }

  /** A reader of a PNG file; to be disposed of. */
  static ImageReader png(byte[] file) throws IOException {
    return open(PNG, file);
  }

  private static ImageReaderSpi find(String format) {
    Iterator<ImageReaderSpi> all =
        IIORegistry.getDefaultInstance().getServiceProviders(ImageReaderSpi.class, false);
    while (all.hasNext()) {
      ImageReaderSpi spi = all.next();
      if (spi.getClass().getModule().equals(ImageIO.class.getModule())
          && Arrays.asList(spi.getFormatNames()).contains(format)) {
        return spi;
      }
    }
    throw new IllegalStateException("the JDK's " + format + " reader is not registered in ImageIO");
  }

  private static ImageReader open(ImageReaderSpi provider, byte[] file) throws IOException {
    ImageReader reader = provider.createReaderInstance();
    // Not ImageIO.createImageInputStream: it would use a cache file.
    reader.setInput(new MemoryCacheImageInputStream(new ByteArrayInputStream(file)), true, true);
    return reader;
  }
}
