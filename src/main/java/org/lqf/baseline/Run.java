package org.lqf.baseline;

/**
 * One training and its test.
 *
 * @param cell what is compared
 * @param seed of the draw of the images and of their order
 * @param setting the hyper-parameter that was chosen (learning rate, layer decay for lqf), NaN for
 *     none
 * @param validationError that chose it, in [0, 1], NaN for none
 * @param error on the test images, in [0, 1]
 * @param seconds of the training and its test, without the search
 */
public record Run(
    Cell cell, long seed, double setting, double validationError, double error, double seconds) {

  /**
   * What the table has one row for.
   *
   * @param dataset name of the images
   * @param backbone name of the network, with "@" and the input size where that is not its own
   * @param shots training images of each class, 0 for all
   * @param method the way to fine-tune
   */
  public record Cell(String dataset, String backbone, int shots, Method method) {

    /** Sorts by shots, all last. */
    int order() {
      return shots == Shots.ALL ? Integer.MAX_VALUE : shots;
    }

    /** {@code shots} for people. */
    public String shotsText() {
      return shots == Shots.ALL ? "all" : Integer.toString(shots);
    }
  }
}
