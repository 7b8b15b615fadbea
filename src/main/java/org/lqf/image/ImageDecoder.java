package org.lqf.image;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Decodes JPEG, PNG, GIF (its first frame) and BMP as Pillow's {@code Image.open(f).convert("RGB")}
 * does, told apart by their content.
 *
 * <ul>
 *   <li>The EXIF orientation is applied (which Pillow leaves to {@code ImageOps.exif_transpose}).
 *   <li>Colour profiles and gamma are ignored; CMYK and YCCK are taken to be stored inverted, as
 *       Adobe does.
 *   <li>Alpha is dropped, not blended, and transparent palette entries count as their colour.
 *   <li>Samples of 16 bits keep their upper byte, in grey too, where Pillow would clip.
 * </ul>
 *
 * <p>Safe on hostile files: sizes are read and checked before anything is allocated, and damage of
 * any kind is an IOException that names the file. A file that is cut off is refused, and so is a
 * JPEG with corrupt pixel data, which viewers (and Pillow) would show in part. Stateless,
 * thread-safe.
 */
public final class ImageDecoder {

  /** Pixels of the largest image that is decoded: Pillow's limit, 1 GiB / 12 bytes. */
  public static final long MAX_PIXELS = (1L << 30) / 12;

  /** Bytes of the largest file that is read. */
  public static final long MAX_FILE_BYTES = 1L << 28;

  /** PNG of one bit per pixel at deflate's best, 1032 : 1; no other format packs more densely. */
  private static final long MAX_PIXELS_PER_BYTE = 8 * 1032;

  private ImageDecoder() {}

  /**
   * Decodes a file.
   *
   * @return TYPE_BYTE_GRAY for grey JPEG and PNG, else TYPE_3BYTE_BGR; upright
   * @throws IOException if the file cannot be read, is of another format, too large or damaged
   */
  public static BufferedImage decode(Path file) throws IOException {
    return pixels(file).toImage();
  }

  /**
   * Decodes the content of a file.
   *
   * @param name of the file, for messages
   * @return as {@link #decode(Path)}
   * @throws IOException if the content is of another format, too large or damaged
   */
  public static BufferedImage decode(byte[] content, String name) throws IOException {
    return pixels(content, name).toImage();
  }

  static Pixels pixels(Path file) throws IOException {
    long size = Files.size(file);
    if (size > MAX_FILE_BYTES) {
      throw new IOException(
          "%s: the file has %d bytes, more than the %d that are read"
              .formatted(file, size, MAX_FILE_BYTES));
    }
    return pixels(Files.readAllBytes(file), file.toString());
  }

  static Pixels pixels(byte[] content, String name) throws IOException {
    try {
      ImageFormat format =
          ImageFormat.of(content)
              .orElseThrow(() -> new IOException("not an image of any known format"));
      return switch (format) {
        case JPEG -> new JpegDecoder(content).decode();
        case PNG -> PngDecoder.decode(content);
        case GIF -> new GifDecoder(content).decode();
        case BMP -> BmpDecoder.decode(content);
        default -> throw new IOException(format.refusal());
      };
    } catch (BufferUnderflowException e) {
      throw new IOException(name + ": the file ends too early", e);
    } catch (IOException e) {
      throw new IOException(name + ": " + e.getMessage(), e);
    } catch (RuntimeException e) { // the JDK's readers throw many kinds on damaged data
      throw new IOException(name + ": damaged image data (" + e + ")", e);
    }
  }

  /** Refuses images that would not fit or cannot be in the file, before they are allocated. */
  static void checkSize(long width, long height, long fileBytes) throws IOException {
    if (width < 1 || height < 1) {
      throw new IOException("the image has no pixels (%dx%d)".formatted(width, height));
    }
    if (width > MAX_PIXELS / height) {
      throw new IOException(
          "%dx%d pixels are more than the %d that are decoded"
              .formatted(width, height, MAX_PIXELS));
    }
    if (width * height > MAX_PIXELS_PER_BYTE * fileBytes) {
      throw new IOException(
          "%dx%d pixels cannot be in a file of %d bytes".formatted(width, height, fileBytes));
    }
  }
}
