package org.lqf.predict;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * What a linearised model says about one image: its classes from the highest score to the lowest.
 *
 * <p>A score is an output of the linear model divided by the target scale it was trained with:
 * about 1 where the image looks like the class, about 0 where it does not. Scores are no
 * probabilities: they may be negative or above 1 and need not add up to 1.
 *
 * @param ranked every class, highest score first; equal scores in label order
 */
public record Prediction(List<Score> ranked) {

  /**
   * One class and its score.
   *
   * @param label name of the class
   * @param index position of the class in {@link Classifier#labels()}
   * @param value about 1 for the right class and about 0 for another; finite
   */
  public record Score(String label, int index, float value) {}

  public Prediction {
    ranked = List.copyOf(ranked);
    if (ranked.isEmpty()) {
      throw new IllegalArgumentException("a prediction needs at least one class");
    }
  }

  /** Ranks the row of one image in scores [n, classes]. */
  static Prediction of(List<String> labels, float[] scores, int image) {
    List<Score> ranked = new ArrayList<>(labels.size());
    for (int c = 0; c < labels.size(); c++) {
      ranked.add(new Score(labels.get(c), c, scores[image * labels.size() + c]));
    }
    ranked.sort(Comparator.comparing(Score::value).reversed()); // stable: ties in label order
    return new Prediction(ranked);
  }

  /** The best class. */
  public String label() {
    return ranked.get(0).label();
  }

  /** Position of the best class in {@link Classifier#labels()}. */
  public int index() {
    return ranked.get(0).index();
  }

  /** Score of the best class. */
  public float score() {
    return ranked.get(0).value();
  }

  /** Lead of the best class over the second; infinite where there is one class only. */
  public float margin() {
    return ranked.size() > 1 ? score() - ranked.get(1).value() : Float.POSITIVE_INFINITY;
  }
}
