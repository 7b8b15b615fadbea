package org.lqf.image;

import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * File formats told apart by their first bytes; those that are not read are known to be refused by
 * name.
 */
enum ImageFormat {
  JPEG("JPEG", true),
  PNG("PNG", true),
  GIF("GIF", true),
  BMP("BMP", true),
  WEBP("WebP", false),
  TIFF("TIFF", false),
  HEIF("HEIF or AVIF", false),
  JPEG_2000("JPEG 2000", false),
  JPEG_XL("JPEG XL", false),
  PHOTOSHOP("Photoshop", false),
  ICON("icon", false),
  PDF("PDF", false),
  NETPBM("PNM", false);

  /** How many leading bytes {@link #of} wants to see. */
  static final int MAGIC_BYTES = 18;

  /** As it is written in messages. */
  final String title;

  /** Whether {@link ImageDecoder} reads it. */
  final boolean readable;

  ImageFormat(String title, boolean readable) {
    this.title = title;
    this.readable = readable;
  }

  /** What to say about a file of this format if it is not {@link #readable}. */
  String refusal() {
    return "this is " + title + ", which is not read here; convert it to PNG or JPEG";
  }

  /**
   * The format of a file that begins with {@code head}, or empty if it is none of those listed
   * here.
   *
   * @param head the first {@link #MAGIC_BYTES} bytes, or all of a shorter file; more is not looked
   *     at
   */
  static Optional<ImageFormat> of(byte[] head) {
    // ISO-8859-1 maps bytes to chars one to one, so that signatures can be written as text.
    String s = new String(head, 0, Math.min(head.length, MAGIC_BYTES), StandardCharsets.ISO_8859_1);
    if (s.startsWith("\u00ff\u00d8\u00ff")) {
      return Optional.of(JPEG);
    } else if (s.startsWith("\u0089PNG\r\n\u001a\n")) {
      return Optional.of(PNG);
    } else if (s.startsWith("GIF87a") || s.startsWith("GIF89a")) {
      return Optional.of(GIF);
    } else if (s.startsWith("BM") && s.startsWith("\0\0\0", 15)) {
      // "BM" alone begins many texts; the header size at byte 14 is below 256 in every BMP.
      return Optional.of(BMP);
    } else if (s.startsWith("RIFF") && s.startsWith("WEBP", 8)) {
      return Optional.of(WEBP);
    } else if (s.startsWith("II*\0") || s.startsWith("MM\0*")) {
      return Optional.of(TIFF);
    } else if (s.matches("(?s).{4}ftyp(hei[cx]|hevc|mif1|msf1|avi[fs]).*")) {
      return Optional.of(HEIF);
    } else if (s.startsWith("\0\0\0\u000cjP  ") || s.startsWith("\u00ffO\u00ffQ")) {
      return Optional.of(JPEG_2000);
    } else if (s.startsWith("\u00ff\n") || s.startsWith("\0\0\0\u000cJXL ")) {
      return Optional.of(JPEG_XL);
    } else if (s.startsWith("8BPS")) {
      return Optional.of(PHOTOSHOP);
    } else if (s.startsWith("\0\0\u0001\0")) {
      return Optional.of(ICON);
    } else if (s.startsWith("%PDF-")) {
      return Optional.of(PDF);
    } else if (s.matches("(?s)P[1-6]\\s.*")) {
      return Optional.of(NETPBM);
    }
    return Optional.empty();
  }
}
