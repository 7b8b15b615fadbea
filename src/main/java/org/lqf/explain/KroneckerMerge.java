package org.lqf.explain;

import java.util.List;
import java.util.stream.IntStream;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.model.ParameterBlock;

/**
 * An <b>approximate</b> merge of models of disjoint shards, without their images: (Σ NᵢHᵢ)⁻¹ Σ
 * NᵢHᵢΔᵢ where Hᵢ is replaced by Γᵢ ⊗ Aᵢ + λI, layer by layer. Exact where the last linear layer
 * alone is linearised. Over all layers it is no substitute for {@link ShardMerge}: with few images
 * the layers interact, and it can be further off than the mean of the models ({@code
 * KroneckerMergeTest}).
 *
 * <p>There is no certificate: without the images nothing is known of the gradient.
 */
public final class KroneckerMerge {

  private static final double TOLERANCE = 1e-10; // of ‖residual‖/‖right side‖
  private static final int MAX_ITERATIONS = 2000;

  private KroneckerMerge() {}

  /**
   * Merges.
   *
   * @param network with the head of the models
   * @param models of one linearisation point and ridge
   * @param factors accumulated over the images of each, with the sharing "reduce"
   * @return Δ [parameters], approximate
   */
  public static float[] of(
      Backbone network, List<LinearisedModel> models, List<KroneckerFactors> factors) {
    float[] merged = new float[models.get(0).delta().length];
    List<float[]> deltas = models.stream().map(LinearisedModel::delta).toList();
    for (int layer = 0; layer < factors.get(0).layers().size(); layer++) {
      String name = factors.get(0).layers().get(layer);
      ParameterBlock block =
          network.blocks().stream().filter(b -> b.node().equals(name)).findFirst().orElseThrow();
      Layer system = new Layer(block, models, factors, layer);
      double[] right = new double[block.size()];
      for (int i = 0; i < models.size(); i++) {
        system.add(i, matrix(deltas.get(i), block), right);
      }
      scatter(system.solve(right), block, merged);
    }
    return merged;
  }

  /** [out, in + 1]: the weights of an output, then its bias. */
  private static double[] matrix(float[] delta, ParameterBlock block) {
    int columns = block.in() + 1;
    double[] matrix = new double[block.size()];
    for (int o = 0; o < block.out(); o++) {
      for (int k = 0; k < block.in(); k++) {
        matrix[o * columns + k] = delta[block.weightOffset() + o * block.in() + k];
      }
      matrix[o * columns + block.in()] = delta[block.biasOffset() + o];
    }
    return matrix;
  }

  private static void scatter(double[] matrix, ParameterBlock block, float[] delta) {
    int columns = block.in() + 1;
    for (int o = 0; o < block.out(); o++) {
      for (int k = 0; k < block.in(); k++) {
        delta[block.weightOffset() + o * block.in() + k] = (float) matrix[o * columns + k];
      }
      delta[block.biasOffset() + o] = (float) matrix[o * columns + block.in()];
    }
  }

  /** V → Σ Nᵢ(Γᵢ V Aᵢ + λV) of one layer. */
  private static final class Layer {
    private final int out;
    private final int columns;
    private final double[][] inputs; // A of each shard [columns, columns]
    private final double[][] outputs; // Γ of each shard [out, out]
    private final double[] weights; // N of each shard
    private final double ridge;

    Layer(
        ParameterBlock block,
        List<LinearisedModel> models,
        List<KroneckerFactors> factors,
        int layer) {
      this.out = block.out();
      this.columns = block.in() + 1;
      this.inputs = factors.stream().map(f -> f.input(layer)).toArray(double[][]::new);
      this.outputs = factors.stream().map(f -> f.output(layer)).toArray(double[][]::new);
      this.weights = models.stream().mapToDouble(m -> m.fit().samples()).toArray();
      this.ridge = models.get(0).fit().ridge();
    }

    /** sum += Nᵢ(Γᵢ V Aᵢ + λV). */
    void add(int shard, double[] v, double[] sum) {
      double[] half = product(v, out, columns, inputs[shard], columns);
      double[] whole = product(outputs[shard], out, out, half, columns);
      for (int k = 0; k < sum.length; k++) {
        sum[k] += weights[shard] * (whole[k] + ridge * v[k]);
      }
    }

    private double[] apply(double[] v) {
      double[] sum = new double[v.length];
      for (int shard = 0; shard < weights.length; shard++) {
        add(shard, v, sum);
      }
      return sum;
    }

    double[] solve(double[] right) {
      double[] start = new double[right.length];
      return DenseConjugateGradient.solve(this::apply, right, start, TOLERANCE, MAX_ITERATIONS);
    }

    /** a [rows, inner] · b [inner, n]. */
    private static double[] product(double[] a, int rows, int inner, double[] b, int n) {
      double[] c = new double[rows * n];
      IntStream.range(0, rows)
          .parallel()
          .forEach(
              i -> {
                for (int k = 0; k < inner; k++) {
                  double factor = a[i * inner + k];
                  for (int j = 0; j < n; j++) {
                    c[i * n + j] += factor * b[k * n + j];
                  }
                }
              });
      return c;
    }
  }
}
