package org.lqf.pretrain;

import org.lqf.baseline.Loss;
import org.lqf.image.Batch;

/** What a training makes small: the mean over images of a loss of their outputs. */
public interface Objective {

  /**
   * The loss of a batch and where it falls.
   *
   * @param outputs [n, C] of the batch's images; entries beyond mean nothing
   * @param cotangent [n, C] derivative of the mean loss by the outputs, overwritten
   * @return the losses' sum over the images
   */
  double cotangent(Batch batch, float[] outputs, float[] cotangent);

  /**
   * Cross-entropy of the softmax of the outputs against the labels: log Σ exp fⱼ − f_label.
   *
   * @param classes C
   */
  static Objective crossEntropy(int classes) {
    return (batch, outputs, cotangent) -> {
      float[] targets = new float[batch.n() * classes];
      for (int i = 0; i < batch.n(); i++) {
        targets[i * classes + batch.labels()[i]] = 1;
      }
      double sum = Loss.CROSS_ENTROPY.evaluate(outputs, targets, batch.n(), classes, cotangent);
      for (int i = 0; i < targets.length; i++) {
        cotangent[i] /= batch.n();
      }
      return sum;
    };
  }
}
