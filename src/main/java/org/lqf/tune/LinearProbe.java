package org.lqf.tune;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.lqf.engine.Engine;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Backbone;
import org.lqf.solve.Samples;

/**
 * Ridge regression of one-hot targets on pooled features, with a free intercept: the classical
 * baseline, and the head that LQF starts from. Its ridge is the one with the smallest leave-one-out
 * error on the training images, which has a closed form; no other image is looked at.
 *
 * @param weight [classes, features], row-major
 * @param bias [classes]
 * @param ridge of the summed loss, relative to the mean variance of the features times N
 * @param leaveOneOutAccuracy on the training images, in [0, 1]
 */
public record LinearProbe(float[] weight, float[] bias, double ridge, double leaveOneOutAccuracy) {

  /** Relative ridges that are tried. */
  private static final double[] RIDGES = {1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3};

  /**
   * Fits on the pooled features of a network.
   *
   * @param backbone at the input size of the images; its own head does not matter
   * @param samples in batches of at most {@code batch} images; their targets are not looked at
   * @param labels of the images in order, in 0 … classes − 1
   */
  public static LinearProbe of(
      Engine engine, Backbone backbone, Samples samples, int[] labels, int classes, int batch)
      throws IOException {
    double[] features = PooledFeatures.of(engine, backbone, samples, batch);
    return fit(engine, features, labels, classes);
  }

  /** The network with this probe as its head, outputs times scale. */
  public Backbone attach(Backbone backbone, double scale, List<String> classes) {
    return backbone.withHead(scaled(weight, scale), scaled(bias, scale), classes);
  }

  private static float[] scaled(float[] values, double factor) {
    float[] scaled = values.clone();
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] *= (float) factor;
    }
    return scaled;
  }

  /**
   * Fits.
   *
   * @param features [labels.length, width], overwritten
   * @param labels in 0 … classes − 1
   */
  public static LinearProbe fit(Engine engine, double[] features, int[] labels, int classes) {
    int n = labels.length;
    int width = features.length / n;
    double[] mean = center(features, n, width);
    double[] prior = new double[classes];
    for (int label : labels) {
      prior[label] += 1.0 / n;
    }
    double[] vectors; // [width, width], eigenvectors of the feature covariance as rows
    double[] values; // [width]
    try (SymmetricMatrix covariance = covariance(engine, features, n, width)) {
      values = covariance.eigen();
      vectors = covariance.toArray();
    }
    double scale = Math.max(Arrays.stream(values).sum() / width, Double.MIN_NORMAL);
    double[] coordinates = multiplyTransposed(features, vectors, n, width); // [n, width]
    double[] moments = new double[width * classes]; // coordinatesᵀ·(one-hot − prior)
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < width; k++) {
        double z = coordinates[i * width + k];
        moments[k * classes + labels[i]] += z; // the prior drops out: coordinates have mean 0
      }
    }
    double best = Double.POSITIVE_INFINITY;
    double bestRidge = 0;
    double bestAccuracy = 0;
    for (double relative : RIDGES) {
      double[] inverse = inverse(values, n * scale * relative, n);
      Errors errors = leaveOneOut(coordinates, labels, moments, inverse, prior);
      if (errors.squares < best) {
        best = errors.squares;
        bestRidge = relative;
        bestAccuracy = errors.right / (double) n;
      }
    }
    double[] inverse = inverse(values, n * scale * bestRidge, n);
    float[] weight = new float[classes * width];
    float[] bias = new float[classes];
    for (int c = 0; c < classes; c++) {
      double shift = prior[c];
      for (int j = 0; j < width; j++) {
        double w = 0;
        for (int k = 0; k < width; k++) {
          w += vectors[k * width + j] * inverse[k] * moments[k * classes + c];
        }
        weight[c * width + j] = (float) w;
        shift -= w * mean[j];
      }
      bias[c] = (float) shift;
    }
    return new LinearProbe(weight, bias, bestRidge, bestAccuracy);
  }

  /**
   * The class that each image is given.
   *
   * @param features [n, width]
   * @return [n]
   */
  public int[] classify(double[] features) {
    int classes = bias.length;
    int width = weight.length / classes;
    int[] given = new int[features.length / width];
    for (int i = 0; i < given.length; i++) {
      double best = Double.NEGATIVE_INFINITY;
      for (int c = 0; c < classes; c++) {
        double score = bias[c];
        for (int j = 0; j < width; j++) {
          score += weight[c * width + j] * features[i * width + j];
        }
        if (score > best) {
          best = score;
          given[i] = c;
        }
      }
    }
    return given;
  }

  private record Errors(double squares, int right) {}

  /** Leave-one-out: residual of sample i divided by 1 − (hat matrix)ᵢᵢ, intercept included. */
  private static Errors leaveOneOut(
      double[] coordinates, int[] labels, double[] moments, double[] inverse, double[] prior) {
    int n = labels.length;
    int width = inverse.length;
    int classes = prior.length;
    double squares = 0;
    int right = 0;
    double[] out = new double[classes];
    for (int i = 0; i < n; i++) {
      System.arraycopy(prior, 0, out, 0, classes);
      double leverage = 1.0 / n;
      for (int k = 0; k < width; k++) {
        double z = coordinates[i * width + k];
        leverage += z * z * inverse[k];
        for (int c = 0; c < classes; c++) {
          out[c] += z * inverse[k] * moments[k * classes + c];
        }
      }
      int best = 0;
      for (int c = 0; c < classes; c++) {
        double target = labels[i] == c ? 1 : 0;
        double error = (target - out[c]) / Math.max(1 - leverage, 1e-9);
        out[c] = target - error;
        squares += error * error;
        best = out[c] > out[best] ? c : best;
      }
      right += best == labels[i] ? 1 : 0;
    }
    return new Errors(squares, right);
  }

  /** 1/(n·value + ridge). */
  private static double[] inverse(double[] values, double ridge, int n) {
    double[] inverse = new double[values.length];
    Arrays.setAll(inverse, k -> 1 / (n * Math.max(values[k], 0) + ridge));
    return inverse;
  }

  /** Takes the mean of every column out of it. */
  private static double[] center(double[] features, int n, int width) {
    double[] mean = new double[width];
    for (int i = 0; i < n * width; i++) {
      mean[i % width] += features[i] / n;
    }
    for (int i = 0; i < n * width; i++) {
      features[i] -= mean[i % width];
    }
    return mean;
  }

  private static SymmetricMatrix covariance(Engine engine, double[] features, int n, int width) {
    double[] sums = new double[width * width];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < width; j++) {
        double x = features[i * width + j] / n;
        for (int k = 0; k < width; k++) {
          sums[j * width + k] += x * features[i * width + k];
        }
      }
    }
    return engine.matrix(width).write(0, 0, width, width, sums);
  }

  /** a [n, width] · bᵀ, b [width, width]. */
  private static double[] multiplyTransposed(double[] a, double[] b, int n, int width) {
    double[] product = new double[n * width];
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < width; k++) {
        double sum = 0;
        for (int j = 0; j < width; j++) {
          sum += a[i * width + j] * b[k * width + j];
        }
        product[i * width + k] = sum;
      }
    }
    return product;
  }
}
