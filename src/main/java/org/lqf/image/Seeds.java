package org.lqf.image;

import java.util.SplittableRandom;

/** Seeds of independent streams of random numbers from one seed and what each stream is for. */
final class Seeds {

  private Seeds() {}

  /** A seed that differs, for all practical purposes, whenever one of the numbers does. */
  static long mix(long seed, long... purpose) {
    long mixed = new SplittableRandom(seed).nextLong();
    for (long number : purpose) {
      mixed = new SplittableRandom(mixed + number).nextLong();
    }
    return mixed;
  }
}
