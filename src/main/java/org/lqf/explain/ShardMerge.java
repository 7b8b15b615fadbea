package org.lqf.explain;

import java.util.ArrayList;
import java.util.List;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Certificate;
import org.lqf.solve.GramMatrix;

/**
 * The model of all images from the {@link JacobianFile}s of disjoint shards at one linearisation
 * point: (Σ H_i)⁻¹ Σ H_i Δ_i, math.md §6, by way of the dual (QQᵀ + μI)α = r, Δ = Qᵀα with Q the
 * rows of all shards and μ = λN. Exact up to rounding, and certified from Q, in double.
 */
public final class ShardMerge {

  private static final int REFINEMENTS = 2;

  private ShardMerge() {}

  /**
   * Merges.
   *
   * @param ridge λ
   * @param before Δ of the first shard, for the receipt, [parameters]
   * @throws IllegalArgumentException if all images together are too many for a Gram matrix
   */
  public static Change of(
      Engine engine, List<JacobianFile> shards, int classes, double ridge, float[] before) {
    List<float[]> tiles = new ArrayList<>();
    int side = 0;
    int images = 0;
    for (JacobianFile shard : shards) {
      tiles.addAll(shard.rows());
      side = Math.addExact(side, shard.residual().length);
      images += shard.images().size();
    }
    GramMatrix.side(images, classes);
    double[] right = new double[side];
    int at = 0;
    for (JacobianFile shard : shards) {
      System.arraycopy(shard.residual(), 0, right, at, shard.residual().length);
      at += shard.residual().length;
    }
    int length = before.length;
    double mu = ridge * images;
    double[] alpha = new double[side];
    double[] delta = new double[length];
    double[] error = right.clone();
    try (SymmetricMatrix kernel = kernel(engine, tiles, side, length)) {
      kernel.cholesky(mu);
      for (int step = 0; step <= REFINEMENTS; step++) {
        kernel.solve(error, 1); // r − QΔ − μα before, its correction of α after
        for (int i = 0; i < side; i++) {
          alpha[i] += error[i];
        }
        delta = transposed(tiles, alpha, length);
        error = times(tiles, delta, side);
        for (int i = 0; i < side; i++) {
          error[i] = right[i] - error[i] - mu * alpha[i];
        }
      }
    }
    float[] single = new float[length];
    double[] rounded = new double[length];
    double norm = 0;
    double change = 0;
    for (int k = 0; k < length; k++) {
      single[k] = (float) delta[k];
      rounded[k] = single[k];
      norm += rounded[k] * rounded[k];
      change += (rounded[k] - before[k]) * (rounded[k] - before[k]);
    }
    Certificate certificate = certify(tiles, right, rounded, ridge, images);
    return new Change(
        single,
        new Receipt(
            "gram of shards",
            shards.get(0).images().size(),
            0,
            images - shards.get(0).images().size(),
            REFINEMENTS,
            certificate,
            Math.sqrt(norm),
            Math.sqrt(change)));
  }

  private static SymmetricMatrix kernel(Engine engine, List<float[]> tiles, int side, int length) {
    SymmetricMatrix kernel = engine.matrix(side);
    try {
      int row = 0;
      for (int i = 0; i < tiles.size(); i++) {
        int rows = tiles.get(i).length / length;
        try (DeviceVector left = engine.vector(tiles.get(i))) {
          int column = row;
          for (int j = i; j < tiles.size(); j++) {
            int columns = tiles.get(j).length / length;
            try (DeviceVector other = engine.vector(tiles.get(j))) {
              kernel.gram(row, left, rows, column, other, columns, length);
            }
            column += columns;
          }
        }
        row += rows;
      }
      return kernel;
    } catch (RuntimeException e) {
      kernel.close();
      throw e;
    }
  }

  /** Loss and gradient of Δ, in double. */
  private static Certificate certify(
      List<float[]> tiles, double[] right, double[] delta, double ridge, int images) {
    double[] error = times(tiles, delta, right.length);
    double squares = 0;
    for (int i = 0; i < error.length; i++) {
      error[i] -= right[i];
      squares += error[i] * error[i];
    }
    double[] gradient = transposed(tiles, error, delta.length);
    double norm = 0;
    double length = 0;
    for (int k = 0; k < delta.length; k++) {
      double slope = gradient[k] / images + ridge * delta[k];
      norm += slope * slope;
      length += delta[k] * delta[k];
    }
    double loss = squares / (2 * images) + ridge / 2 * length;
    return new Certificate(loss, Math.sqrt(norm), ridge);
  }

  /** Q·x, [side]. */
  private static double[] times(List<float[]> tiles, double[] x, int side) {
    double[] product = new double[side];
    int at = 0;
    for (float[] tile : tiles) {
      for (int from = 0; from < tile.length; from += x.length) {
        double sum = 0;
        for (int k = 0; k < x.length; k++) {
          sum += tile[from + k] * x[k];
        }
        product[at++] = sum;
      }
    }
    return product;
  }

  /** Qᵀ·x, [length]. */
  private static double[] transposed(List<float[]> tiles, double[] x, int length) {
    double[] product = new double[length];
    int at = 0;
    for (float[] tile : tiles) {
      for (int from = 0; from < tile.length; from += length) {
        double factor = x[at++];
        for (int k = 0; k < length; k++) {
          product[k] += factor * tile[from + k];
        }
      }
    }
    return product;
  }
}
