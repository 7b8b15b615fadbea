package org.lqf.baseline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ShotsTest {

  /** 30 images of class 0, 6 of class 1. */
  private static final int[] LABELS = IntStream.range(0, 36).map(i -> i < 30 ? 0 : 1).toArray();

  private static long of(int label, int[] indices) {
    return Arrays.stream(indices).filter(i -> LABELS[i] == label).count();
  }

  @Test
  void trainsOnSoManyOfEachClassAndValidatesOnAsMany() {
    Shots draw = Shots.draw(LABELS, 2, 3, 7);
    assertArrayEquals(new long[] {3, 3}, new long[] {of(0, draw.train()), of(1, draw.train())});
    assertArrayEquals(
        new long[] {3, 3}, new long[] {of(0, draw.validation()), of(1, draw.validation())});
    assertArrayEquals(draw.train(), draw.search());
  }

  @Test
  void aSmallClassGivesHalfOfItsImages() {
    Shots draw = Shots.draw(LABELS, 2, 10, 7);
    assertEquals(10, of(0, draw.train()));
    assertEquals(3, of(1, draw.train()));
    assertEquals(3, of(1, draw.validation()));
  }

  @Test
  void noImageIsBothSearchedWithAndValidatedOn() {
    for (int shots : new int[] {1, 5, 20, Shots.ALL}) {
      Shots draw = Shots.draw(LABELS, 2, shots, 3);
      for (int index : draw.validation()) {
        assertFalse(Arrays.stream(draw.search()).anyMatch(i -> i == index));
      }
    }
  }

  @Test
  void allTrainsOnEverythingAfterASearchOnFourFifths() {
    Shots draw = Shots.draw(LABELS, 2, Shots.ALL, 0);
    assertEquals(36, draw.train().length);
    assertEquals(24, of(0, draw.search()));
    assertEquals(6, of(0, draw.validation()));
  }

  @Test
  void seedsDrawDifferentlyAndAlwaysTheSame() {
    int[] first = Shots.draw(LABELS, 2, 5, 0).train();
    assertArrayEquals(first, Shots.draw(LABELS, 2, 5, 0).train());
    assertFalse(Arrays.equals(first, Shots.draw(LABELS, 2, 5, 1).train()));
  }

  @Test
  void saysThatASingleImageIsTooFew() {
    IllegalArgumentException error =
        assertThrows(
            IllegalArgumentException.class, () -> Shots.draw(new int[] {0, 0, 1}, 2, 1, 0));
    assertTrue(error.getMessage().contains("class 1 has 1 training images"), error.getMessage());
  }
}
