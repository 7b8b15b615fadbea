package org.lqf.engine;

/**
 * How 3x3 convolutions may be summed: by Winograd's minimal filtering (Lavin and Gray, CVPR 2016),
 * which needs fewer products for another rounding; those of stride 2 and padding 1, and 7x7 ones of
 * stride 2 over an image, too (Yepez and Ko, IEEE TVLSI 2020). The other convolutions are summed as
 * their formula reads, and so are those where that is faster.
 */
public enum Winograd {
  /** Plain sums. */
  OFF("off", 0),
  /**
   * F(2,3), the default: 2.25 times fewer products at stride 1, 1.44 at stride 2, and rounds no
   * more than the plain sum (Jᵀ·u by the input at stride 2: up to 1.03 times it).
   */
  F2("2", 2),
  /**
   * F(4,3): 4 times fewer products at stride 1, 2.15 in the 7x7 convolution of an image, about 4
   * and 2.3 times the rounding error of the plain sum.
   */
  F4("4", 4);

  private final String text;
  final int outputs;

  Winograd(String text, int outputs) {
    this.text = text;
    this.outputs = outputs;
  }

  /**
   * The one of this text.
   *
   * @throws IllegalArgumentException if it is none of "off", "2", "4"
   */
  public static Winograd of(String text) {
    for (Winograd winograd : values()) {
      if (winograd.text.equals(text)) {
        return winograd;
      }
    }
    throw new IllegalArgumentException(
        "unknown winograd \"%s\", expected off, 2 or 4".formatted(text));
  }

  @Override
  public String toString() {
    return text;
  }
}
