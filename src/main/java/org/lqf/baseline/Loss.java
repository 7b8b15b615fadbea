package org.lqf.baseline;

/** A loss of the outputs of a network, with its derivative. Both are sums over a batch. */
public enum Loss {

  /** ½‖f − y‖²: what LQF minimises. */
  SQUARED_ERROR {
    @Override
    public double evaluate(
        float[] outputs, float[] targets, int n, int classes, float[] cotangent) {
      double sum = 0;
      for (int i = 0; i < n * classes; i++) {
        float error = outputs[i] - targets[i];
        cotangent[i] = error;
        sum += 0.5 * error * error;
      }
      return sum;
    }
  },

  /**
   * −log softmax(f)[label], for the baselines and pre-training; the label is where the target is
   * not 0.
   */
  CROSS_ENTROPY {
    @Override
    public double evaluate(
        float[] outputs, float[] targets, int n, int classes, float[] cotangent) {
      double sum = 0;
      for (int first = 0; first < n * classes; first += classes) {
        double largest = Double.NEGATIVE_INFINITY;
        for (int c = first; c < first + classes; c++) {
          largest = Math.max(largest, outputs[c]);
        }
        double total = 0;
        for (int c = first; c < first + classes; c++) {
          total += Math.exp(outputs[c] - largest);
        }
        double log = largest + Math.log(total);
        for (int c = first; c < first + classes; c++) {
          double hot = targets[c] != 0 ? 1 : 0;
          sum += hot * (log - outputs[c]);
          cotangent[c] = (float) (Math.exp(outputs[c] - log) - hot);
        }
      }
      return sum;
    }
  };

  /**
   * Sum of the losses of n images.
   *
   * @param outputs f [n, classes], read
   * @param targets y [n, classes], read: a number for the image's class, else 0
   * @param cotangent [n, classes], overwritten by the derivative by f
   */
  public abstract double evaluate(
      float[] outputs, float[] targets, int n, int classes, float[] cotangent);
}
