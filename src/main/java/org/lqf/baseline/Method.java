package org.lqf.baseline;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.lqf.model.Backbone;
import org.lqf.model.Layer;

/** A way to fine-tune. All start from the linear probe as head, times the target scale. */
public enum Method {
  /**
   * The recipe of {@code org.lqf.tune}: the optimum of the quadratic problem. Searches the layer
   * decay.
   */
  LQF("lqf", Descent.Model.LINEARISED, Loss.SQUARED_ERROR, false),
  /** Ordinary fine-tuning by cross-entropy. Searches the learning rate, as all below. */
  NLFT("nlft", Descent.Model.MOVING, Loss.CROSS_ENTROPY, false),
  /** Ordinary fine-tuning by squared error. */
  NLFT_MSE("nlft-mse", Descent.Model.MOVING, Loss.SQUARED_ERROR, false),
  /** Ridge regression on the pooled features; its ridge by leave-one-out, nothing is searched. */
  PROBE("probe", Descent.Model.LINEARISED, Loss.SQUARED_ERROR, false),

  /** Plain linearisation: none of the paper's three changes. */
  LINEAR_RELU_CE_SGD("linear-relu-ce-sgd", Loss.CROSS_ENTROPY, false),
  LINEAR_RELU_CE_KFAC("linear-relu-ce-kfac", Loss.CROSS_ENTROPY, true),
  LINEAR_RELU_MSE_SGD("linear-relu-mse-sgd", Loss.SQUARED_ERROR, false),
  LINEAR_RELU_MSE_KFAC("linear-relu-mse-kfac", Loss.SQUARED_ERROR, true),
  LINEAR_LEAKY_CE_SGD("linear-leaky-ce-sgd", Loss.CROSS_ENTROPY, false),
  LINEAR_LEAKY_CE_KFAC("linear-leaky-ce-kfac", Loss.CROSS_ENTROPY, true),
  LINEAR_LEAKY_MSE_SGD("linear-leaky-mse-sgd", Loss.SQUARED_ERROR, false),
  /** All three changes, solved as in the paper: LQF by preconditioned SGD. */
  LINEAR_LEAKY_MSE_KFAC("linear-leaky-mse-kfac", Loss.SQUARED_ERROR, true);

  /** Every combination of {ReLU, leaky} × {cross-entropy, squared error} × {plain, K-FAC}. */
  public static final Set<Method> ABLATION =
      EnumSet.range(LINEAR_RELU_CE_SGD, LINEAR_LEAKY_MSE_KFAC);

  private final String text;
  final Descent.Model model;
  final Loss loss;
  final boolean preconditioned;

  Method(String text, Descent.Model model, Loss loss, boolean preconditioned) {
    this.text = text;
    this.model = model;
    this.loss = loss;
    this.preconditioned = preconditioned;
  }

  Method(String text, Loss loss, boolean preconditioned) {
    this(text, Descent.Model.LINEARISED, loss, preconditioned);
  }

  /** Its name on the command line and in tables. */
  public String text() {
    return text;
  }

  /** Whether a seed changes the result where the training images are the same. */
  public boolean random() {
    return this != LQF && this != PROBE;
  }

  /** Whether this network has the activation that the name says, if it says one. */
  public boolean fits(Backbone backbone) {
    if (!ABLATION.contains(this)) {
      return true;
    }
    boolean leaky =
        backbone.nodes().stream()
            .anyMatch(node -> node.layer() instanceof Layer.LeakyRelu relu && relu.slope() > 0);
    return leaky == text.contains("-leaky-");
  }

  /**
   * Methods from names with commas between; {@code ablation} stands for {@link #ABLATION}.
   *
   * @throws IllegalArgumentException that lists the names there are
   */
  public static Set<Method> parse(String names) {
    List<Method> chosen = new ArrayList<>();
    for (String name : names.split(",", -1)) {
      String wanted = name.strip();
      if (wanted.equals("ablation")) {
        chosen.addAll(ABLATION);
      } else {
        chosen.add(of(wanted));
      }
    }
    return EnumSet.copyOf(chosen);
  }

  /**
   * The method of a {@link #text}.
   *
   * @throws IllegalArgumentException that lists the names there are
   */
  public static Method of(String name) {
    return Arrays.stream(values())
        .filter(method -> method.text.equals(name))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException(unknown(name)));
  }

  private static String unknown(String name) {
    return "unknown method \"%s\", expected ablation or some of %s"
        .formatted(
            name, Arrays.stream(values()).map(Method::text).collect(Collectors.joining(", ")));
  }

  @Override
  public String toString() {
    return text;
  }
}
