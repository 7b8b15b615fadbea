package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class TestScoreTest {

  private static final List<String> CLASSES = List.of("a", "b");
  private static final int[] LABELS = {0, 0, 1, 1};

  @Test
  void accuracyHasTheStandardErrorOfAShare() {
    TestScore score = new TestScore(CLASSES, LABELS, new int[] {0, 0, 1, 0});
    assertEquals(0.75, score.accuracy());
    assertEquals(Math.sqrt(0.75 * 0.25 / 4), score.standardError(), 1e-15);
    assertEquals(1, score.confusions().count(1, 0));
  }

  @Test
  void gainCountsOnlyWhereTheTwoDiffer() {
    TestScore better = new TestScore(CLASSES, LABELS, new int[] {0, 0, 1, 0});
    TestScore worse = new TestScore(CLASSES, LABELS, new int[] {1, 0, 0, 1});
    // right: + + + - against - + - +; differences 1, 0, 1, -1: mean 1/4, variance 3/4 - 1/16
    assertEquals(0.25, better.over(worse).value());
    assertEquals(Math.sqrt(11 / 16.0 / 4), better.over(worse).standardError(), 1e-15);
    assertEquals(-0.25, worse.over(better).value());
    assertEquals(new TestScore.Gain(0, 0), better.over(better));
  }
}
