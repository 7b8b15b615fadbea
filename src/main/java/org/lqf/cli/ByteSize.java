package org.lqf.cli;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** An amount of memory on the command line: 800m, 6g, 1.5g; K, M and G are powers of 1024. */
record ByteSize(long bytes) {

  private static final Pattern TEXT = Pattern.compile("([0-9]+(?:\\.[0-9]+)?)\\s*([kmg])i?b?");

  ByteSize {
    if (bytes < 1) {
      throw new IllegalArgumentException("memory must be above 0");
    }
  }

  static ByteSize parse(String text) {
    Matcher matcher = TEXT.matcher(text.toLowerCase(Locale.ROOT));
    if (!matcher.matches()) {
      throw new IllegalArgumentException(
          "memory \"%s\": expected a number and a unit, such as 800m or 6g".formatted(text));
    }
    int shift =
        switch (matcher.group(2)) {
          case "k" -> 10;
          case "m" -> 20;
          default -> 30;
        };
    return new ByteSize((long) (Double.parseDouble(matcher.group(1)) * (1L << shift)));
  }
}
