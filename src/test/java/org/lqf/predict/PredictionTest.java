package org.lqf.predict;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.lqf.predict.Prediction.Score;

class PredictionTest {

  @Test
  void ranksTheRowOfItsImage() {
    Prediction prediction =
        Prediction.of(List.of("bag", "boot", "shirt"), new float[] {9, 9, 9, 0.25f, -0.5f, 1}, 1);
    assertEquals(
        List.of(new Score("shirt", 2, 1f), new Score("bag", 0, 0.25f), new Score("boot", 1, -0.5f)),
        prediction.ranked());
    assertEquals("shirt", prediction.label());
    assertEquals(2, prediction.index());
    assertEquals(1f, prediction.score());
    assertEquals(0.75f, prediction.margin());
  }

  @Test
  void equalScoresKeepTheOrderOfTheLabels() {
    Prediction prediction = Prediction.of(List.of("b", "a"), new float[] {1, 1}, 0);
    assertEquals("b", prediction.label());
    assertEquals(0f, prediction.margin());
  }

  @Test
  void oneClassLeadsByInfinity() {
    assertEquals(Float.POSITIVE_INFINITY, Prediction.of(List.of("a"), new float[] {1}, 0).margin());
  }

  @Test
  void refusesToBeEmpty() {
    assertThrows(IllegalArgumentException.class, () -> new Prediction(List.of()));
  }
}
