package org.lqf.predict;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.lqf.predict.ConfusionMatrix.Confusion;

class ConfusionMatrixTest {

  private final ConfusionMatrix matrix =
      new ConfusionMatrix(
          List.of("bag", "boot", "shirt"),
          new int[][] {
            {5, 3, 2},
            {0, 8, 0},
            {3, 0, 1}
          });

  @Test
  void accuracyIsTheShareOnTheDiagonal() {
    assertEquals(22, matrix.images());
    assertEquals(14 / 22.0, matrix.accuracy());
    assertEquals(0.5, matrix.accuracy(0));
    assertEquals(1.0, matrix.accuracy(1));
    assertEquals(0.25, matrix.accuracy(2));
  }

  @Test
  void confusedPairsComeMostFrequentFirstAndOtherwiseInLabelOrder() {
    assertEquals(
        List.of(
            new Confusion("bag", "boot", 3, 10),
            new Confusion("shirt", "bag", 3, 4),
            new Confusion("bag", "shirt", 2, 10)),
        matrix.mostConfused(10));
    assertEquals(1, matrix.mostConfused(1).size());
  }

  @Test
  void accuracyWithoutImagesIsNotANumber() {
    ConfusionMatrix empty = new ConfusionMatrix(List.of("a"), new int[1][1]);
    assertTrue(Double.isNaN(empty.accuracy()));
    assertTrue(empty.mostConfused(3).isEmpty());
  }

  @Test
  void laterChangesOfTheCountsDoNotReachIt() {
    int[][] counts = {{1}};
    ConfusionMatrix one = new ConfusionMatrix(List.of("a"), counts);
    counts[0][0] = 7;
    assertEquals(1, one.images());
  }

  @Test
  void refusesCountsThatDoNotFitTheClasses() {
    List<String> labels = List.of("a", "b");
    for (int[][] bad : new int[][][] {{{1, 0}}, {{1, 0}, {1}}, {{1, 0}, {-1, 0}}}) {
      assertThrows(IllegalArgumentException.class, () -> new ConfusionMatrix(labels, bad));
    }
  }
}
