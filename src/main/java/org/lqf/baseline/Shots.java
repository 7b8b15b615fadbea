package org.lqf.baseline;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Images drawn from the training images, the validation images never among the ones trained on.
 *
 * <p>With k shots, k images of each class are for training and as many others, at most {@value
 * #MOST_VALIDATION}, for validation. A class of fewer than 2k images gives half of them to each.
 * With all, a fifth of each class is for validation while a hyper-parameter is searched; the final
 * training is on all. Same seed, same draw.
 *
 * @param search indices to train on while a hyper-parameter is searched, ascending
 * @param validation indices that decide the search, ascending
 * @param train indices of the final training, ascending
 */
record Shots(int[] search, int[] validation, int[] train) {

  /** Stands for all images in place of a number of shots. */
  static final int ALL = 0;

  private static final int MOST_VALIDATION = 20; // of a class
  private static final double HELD_OUT = 0.2;

  /**
   * Draws.
   *
   * @param labels of all training images, in 0 … classes − 1
   * @param shots images of each class, or {@link #ALL}
   * @throws IllegalArgumentException if a class has a single image
   */
  static Shots draw(int[] labels, int classes, int shots, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    IntStream.Builder search = IntStream.builder();
    IntStream.Builder validation = IntStream.builder();
    for (int label = 0; label < classes; label++) {
      int wanted = label;
      int[] members = IntStream.range(0, labels.length).filter(i -> labels[i] == wanted).toArray();
      if (members.length < 2) {
        throw new IllegalArgumentException(
            "class %d has %d training images, at least 2 are needed to train and to validate"
                .formatted(label, members.length));
      }
      for (int i = members.length - 1; i > 0; i--) {
        int j = random.nextInt(i + 1);
        int swapped = members[i];
        members[i] = members[j];
        members[j] = swapped;
      }
      int held = (int) Math.max(1, Math.round(HELD_OUT * members.length));
      int train = shots == ALL ? members.length - held : Math.min(shots, members.length / 2);
      int end = shots == ALL ? members.length : train + Math.min(train, MOST_VALIDATION);
      Arrays.stream(members, 0, train).forEach(search::add);
      Arrays.stream(members, train, end).forEach(validation::add);
    }
    int[] chosen = search.build().sorted().toArray();
    int[] all = IntStream.range(0, labels.length).toArray();
    return new Shots(chosen, validation.build().sorted().toArray(), shots == ALL ? all : chosen);
  }
}
