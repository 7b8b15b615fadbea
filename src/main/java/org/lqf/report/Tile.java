package org.lqf.report;

import java.util.List;

/**
 * Images with what is to be said of them.
 *
 * @param images one, or a few that belong together
 * @param name of the file or files
 * @param lines some words each
 * @param tone how it is marked
 */
public record Tile(List<Thumbnail> images, String name, List<String> lines, Tone tone) {

  /** Whether a tile is good news; shown as a coloured edge, always beside words that say so. */
  public enum Tone {
    PLAIN(0xb0b7c0),
    GOOD(0x1a7f37),
    BAD(0xc62834);

    final int rgb;

    Tone(int rgb) {
      this.rgb = rgb;
    }

    /** For style sheets, such as "#1a7f37". */
    public String colour() {
      return "#%06x".formatted(rgb);
    }
  }

  public Tile {
    images = List.copyOf(images);
    lines = List.copyOf(lines);
    if (images.isEmpty()) {
      throw new IllegalArgumentException("a tile without an image: " + name);
    }
  }

  public Tile(Thumbnail image, String name, List<String> lines, Tone tone) {
    this(List.of(image), name, lines, tone);
  }
}
