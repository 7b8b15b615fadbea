package org.lqf.engine;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.lqf.model.Backbone;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;

/**
 * The truth for tests: the network, its Jacobian and its Kronecker factors in double precision, by
 * plain loops over a {@link Backbone}, independent of the native code and of its interpreter.
 *
 * <p>Forward mode walks the graph with dual numbers (value, tangent); reverse mode walks back with
 * cotangents. Every layer is a sum over the input values that an output reads; {@link InputIndices}
 * lists them. One image at a time; all arrays are [c,h,w] or [parameters], row-major.
 */
public final class DualOracle {

  private final Backbone backbone;
  private final Set<String> frozen;
  private final double[] w;
  private final InputIndices reads;
  private final Map<String, ParameterBlock> blocks = new HashMap<>();

  /** At the network's own parameters, everything linearised. */
  public DualOracle(Backbone backbone) {
    this(backbone, Set.of());
  }

  /** At the network's own parameters; the named nodes have tangent and gradient zero. */
  public DualOracle(Backbone backbone, Set<String> frozen) {
    this(backbone, frozen, widen(backbone.w0()));
  }

  private DualOracle(Backbone backbone, Set<String> frozen, double[] w) {
    this.backbone = backbone;
    this.frozen = frozen;
    this.w = w;
    this.reads = new InputIndices(backbone);
    backbone.blocks().forEach(block -> blocks.put(block.node(), block));
    if (!blocks.keySet().containsAll(frozen)) {
      throw new IllegalArgumentException(frozen + " are not all weighted nodes");
    }
  }

  /** The same network at other parameters, [parameters]. */
  public DualOracle at(double[] parameters) {
    return new DualOracle(backbone, frozen, parameters.clone());
  }

  public static double[] widen(float[] values) {
    double[] wide = new double[values.length];
    Arrays.setAll(wide, i -> values[i]);
    return wide;
  }

  /** f(image; w), [outputs]. */
  public double[] forward(double[] image) {
    return walk(image, new double[w.length]).get(backbone.output()).value;
  }

  /** J(image)·delta, [outputs]. */
  public double[] jvp(double[] image, double[] delta) {
    return walk(image, delta).get(backbone.output()).dot;
  }

  /** J(image)ᵀ·cotangent, [parameters]. */
  public double[] vjp(double[] image, double[] cotangent) {
    Map<String, Dual> values = walk(image, new double[w.length]);
    Map<String, double[]> bars = walkBack(values, cotangent);
    double[] gradient = new double[w.length];
    for (Node node : backbone.nodes()) {
      ParameterBlock block = blocks.get(node.name());
      if (block == null || frozen.contains(node.name())) {
        continue;
      }
      double[] x = values.get(node.inputs().get(0)).value;
      double[] bar = bars.get(node.name());
      int positions = bar.length / block.out();
      for (int t = 0; t < positions; t++) {
        int[] patch = reads.patch(node, t);
        for (int o = 0; o < block.out(); o++) {
          double g = bar[o * positions + t];
          for (int i = 0; i < block.in(); i++) {
            gradient[block.weightOffset() + o * block.in() + i] += g * at(x, patch[i]);
          }
          gradient[block.biasOffset() + o] += g;
        }
      }
    }
    return gradient;
  }

  /** J(image), [outputs][parameters]: one reverse pass a row. */
  public double[][] jacobian(double[] image) {
    double[][] rows = new double[backbone.outputShape().size()][];
    for (int c = 0; c < rows.length; c++) {
      rows[c] = vjp(image, unit(c, rows.length));
    }
    return rows;
  }

  /**
   * Input factor A of a conv2d or linear node, [in+1][in+1], the bias last: math.md §4.
   *
   * @param reduce mean of the patches of an image first; false: expand, sum over the patches
   */
  public double[][] inputFactor(List<double[]> images, String name, boolean reduce) {
    Node node = weighted(name);
    int side = blocks.get(name).in() + 1;
    double[][] a = new double[side][side];
    for (double[] image : images) {
      double[] x = walk(image, new double[w.length]).get(node.inputs().get(0)).value;
      int positions = reads.positions(node);
      double[] sum = new double[side];
      for (int t = 0; t < positions; t++) {
        int[] patch = reads.patch(node, t);
        double[] extended = new double[side];
        for (int i = 0; i < side; i++) {
          extended[i] = i < side - 1 ? at(x, patch[i]) : 1;
          sum[i] += extended[i] / positions;
        }
        if (!reduce) {
          addOuter(a, extended, 1.0 / images.size());
        }
      }
      if (reduce) {
        addOuter(a, sum, 1.0 / images.size());
      }
    }
    return a;
  }

  /** Output factor Γ of a conv2d or linear node, [out][out], exact: one reverse pass per output. */
  public double[][] outputFactor(List<double[]> images, String name, boolean reduce) {
    Node node = weighted(name);
    int out = blocks.get(name).out();
    double[][] gamma = new double[out][out];
    for (double[] image : images) {
      Map<String, Dual> values = walk(image, new double[w.length]);
      int outputs = backbone.outputShape().size();
      for (int c = 0; c < outputs; c++) {
        double[] bar = walkBack(values, unit(c, outputs)).get(name);
        int positions = reads.positions(node);
        double[] sum = new double[out];
        for (int t = 0; t < positions; t++) {
          double[] g = new double[out];
          for (int o = 0; o < out; o++) {
            g[o] = bar[o * positions + t];
            sum[o] += g[o];
          }
          if (!reduce) {
            addOuter(gamma, g, 1.0 / (images.size() * positions));
          }
        }
        if (reduce) {
          addOuter(gamma, sum, 1.0 / images.size());
        }
      }
    }
    return gamma;
  }

  /** A value of one image and its tangent. */
  private record Dual(double[] value, double[] dot) {
    Dual(int size) {
      this(new double[size], new double[size]);
    }
  }

  private Map<String, Dual> walk(double[] image, double[] delta) {
    if (image.length != backbone.input().shape().size() || delta.length != w.length) {
      throw new IllegalArgumentException(
          "image %d, delta %d values".formatted(image.length, delta.length));
    }
    Map<String, Dual> values = new HashMap<>();
    values.put(Node.INPUT, new Dual(image, new double[image.length]));
    for (Node node : backbone.nodes()) {
      Dual x = values.get(node.inputs().get(0));
      Dual y = new Dual(reads.shape(node.name()).size());
      Layer layer = node.layer();
      if (blocks.containsKey(node.name())) {
        affine(node, x, delta, y);
      } else if (layer instanceof Layer.LeakyRelu relu) {
        for (int i = 0; i < y.value.length; i++) {
          y.value[i] = mask(x.value[i], relu) * x.value[i];
          y.dot[i] = mask(x.value[i], relu) * x.dot[i];
        }
      } else if (layer instanceof Layer.Add) {
        Dual other = values.get(node.inputs().get(1));
        Arrays.setAll(y.value, i -> x.value[i] + other.value[i]);
        Arrays.setAll(y.dot, i -> x.dot[i] + other.dot[i]);
      } else {
        for (int t = 0; t < y.value.length; t++) { // linear given the image: a sum over sources
          for (InputIndices.Source source : reads.sources(node, t, x.value)) {
            y.value[t] += source.weight() * x.value[source.index()];
            y.dot[t] += source.weight() * x.dot[source.index()];
          }
        }
      }
      values.put(node.name(), y);
    }
    return values;
  }

  /** y = w∗x + b and y_dot = w∗x_dot + delta_w∗x + delta_b. */
  private void affine(Node node, Dual x, double[] delta, Dual y) {
    ParameterBlock block = blocks.get(node.name());
    boolean still = frozen.contains(node.name());
    int positions = reads.positions(node);
    for (int t = 0; t < positions; t++) {
      int[] patch = reads.patch(node, t);
      for (int o = 0; o < block.out(); o++) {
        double sum = w[block.biasOffset() + o];
        double dot = still ? 0 : delta[block.biasOffset() + o];
        for (int i = 0; i < block.in(); i++) {
          int k = block.weightOffset() + o * block.in() + i;
          sum += w[k] * at(x.value, patch[i]);
          dot += w[k] * at(x.dot, patch[i]) + (still ? 0 : delta[k] * at(x.value, patch[i]));
        }
        y.value[o * positions + t] = sum;
        y.dot[o * positions + t] = dot;
      }
    }
  }

  /** Cotangent of every node's value, of Σ cotangent·output. */
  private Map<String, double[]> walkBack(Map<String, Dual> values, double[] cotangent) {
    Map<String, double[]> bars = new HashMap<>();
    backbone.shapes().forEach((name, shape) -> bars.put(name, new double[shape.size()]));
    bars.put(backbone.output(), cotangent.clone());
    for (int n = backbone.nodes().size() - 1; n >= 0; n--) {
      Node node = backbone.nodes().get(n);
      double[] yBar = bars.get(node.name());
      double[] x = values.get(node.inputs().get(0)).value;
      double[] xBar = bars.get(node.inputs().get(0));
      ParameterBlock block = blocks.get(node.name());
      if (block != null) {
        int positions = reads.positions(node);
        for (int t = 0; t < positions; t++) {
          int[] patch = reads.patch(node, t);
          for (int i = 0; i < block.in(); i++) {
            for (int o = 0; patch[i] >= 0 && o < block.out(); o++) {
              double weight = w[block.weightOffset() + o * block.in() + i];
              xBar[patch[i]] += weight * yBar[o * positions + t];
            }
          }
        }
      } else if (node.layer() instanceof Layer.LeakyRelu relu) {
        for (int i = 0; i < x.length; i++) {
          xBar[i] += mask(x[i], relu) * yBar[i];
        }
      } else if (node.layer() instanceof Layer.Add) {
        double[] otherBar = bars.get(node.inputs().get(1));
        for (int i = 0; i < x.length; i++) {
          xBar[i] += yBar[i];
          otherBar[i] += yBar[i];
        }
      } else {
        for (int t = 0; t < yBar.length; t++) {
          for (InputIndices.Source source : reads.sources(node, t, x)) {
            xBar[source.index()] += source.weight() * yBar[t];
          }
        }
      }
    }
    return bars;
  }

  /** The derivative of leaky ReLU; slope at zero. */
  private static double mask(double z, Layer.LeakyRelu relu) {
    return z > 0 ? 1 : relu.slope();
  }

  private static double at(double[] x, int index) {
    return index < 0 ? 0 : x[index];
  }

  private Node weighted(String name) {
    for (Node node : backbone.nodes()) {
      if (node.name().equals(name) && blocks.containsKey(name) && !frozen.contains(name)) {
        return node;
      }
    }
    throw new IllegalArgumentException(
        "\"" + name + "\" is not a linearised conv2d or linear node");
  }

  private static double[] unit(int index, int length) {
    double[] unit = new double[length];
    unit[index] = 1;
    return unit;
  }

  private static void addOuter(double[][] sum, double[] v, double factor) {
    for (int i = 0; i < v.length; i++) {
      for (int j = 0; j < v.length; j++) {
        sum[i][j] += factor * v[i] * v[j];
      }
    }
  }
}
