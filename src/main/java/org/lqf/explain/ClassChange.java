package org.lqf.explain;

import java.util.ArrayList;
import java.util.List;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;

/**
 * The linearisation point of a model with other classes and images: the start of a changed problem.
 *
 * <p>The backbone and the rows of the head that stay are kept, so that the outputs that stay have
 * the f(x; w0) and the J that they had. An output has a row of the head to itself, thus a class
 * that goes takes that row and its displacement along and leaves nothing behind but its part in the
 * displacement of the layers below, which the new solution is without.
 */
public final class ClassChange {

  private ClassChange() {}

  /**
   * The same classes, another set of images.
   *
   * @param samples how many images
   */
  public static LinearisedModel none(LinearisedModel model, int samples) {
    return start(
        model, model.labels(), model.headWeight(), model.headBias(), model.delta(), samples);
  }

  /** Without some classes. */
  public static LinearisedModel without(LinearisedModel model, List<String> gone, int samples) {
    List<Integer> kept = new ArrayList<>();
    List<String> labels = new ArrayList<>();
    for (int c = 0; c < model.labels().size(); c++) {
      if (!gone.contains(model.labels().get(c))) {
        kept.add(c);
        labels.add(model.labels().get(c));
      }
    }
    if (labels.size() < 2) {
      throw new IllegalArgumentException(
          "without %s only %s would be left; at least two classes are needed to tell apart"
              .formatted(gone, labels.isEmpty() ? "no class" : "class " + labels.get(0)));
    }
    float[] weight = model.headWeight();
    float[] bias = model.headBias();
    float[] delta = model.delta();
    int features = weight.length / bias.length;
    int body = delta.length - weight.length - bias.length;
    float[] newWeight = new float[labels.size() * features];
    float[] newBias = new float[labels.size()];
    float[] newDelta = new float[body + newWeight.length + newBias.length];
    System.arraycopy(delta, 0, newDelta, 0, body);
    for (int k = 0; k < newBias.length; k++) {
      int c = kept.get(k);
      System.arraycopy(weight, c * features, newWeight, k * features, features);
      System.arraycopy(delta, body + c * features, newDelta, body + k * features, features);
      newBias[k] = bias[c];
      newDelta[body + newWeight.length + k] = delta[body + weight.length + c];
    }
    return start(model, labels, newWeight, newBias, newDelta, samples);
  }

  /**
   * With more classes, behind the old ones; their Δ starts at 0.
   *
   * @param added their labels
   * @param addedWeight their rows of the head, [added, features]
   * @param addedBias [added]
   */
  public static LinearisedModel with(
      LinearisedModel model,
      List<String> added,
      float[] addedWeight,
      float[] addedBias,
      int samples) {
    List<String> labels = new ArrayList<>(model.labels());
    labels.addAll(added);
    float[] weight = model.headWeight();
    float[] bias = model.headBias();
    float[] delta = model.delta();
    int body = delta.length - weight.length - bias.length;
    float[] newDelta = new float[delta.length + addedWeight.length + addedBias.length];
    System.arraycopy(delta, 0, newDelta, 0, body + weight.length);
    System.arraycopy(
        delta,
        body + weight.length,
        newDelta,
        body + weight.length + addedWeight.length,
        bias.length);
    return start(
        model, labels, join(weight, addedWeight), join(bias, addedBias), newDelta, samples);
  }

  /** The same classes and images from another head, [classes, features] and [classes]. */
  public static LinearisedModel withHead(LinearisedModel model, float[] weight, float[] bias) {
    return start(model, model.labels(), weight, bias, model.delta(), model.fit().samples());
  }

  /** The same with another Δ to start from, [parameters]. */
  public static LinearisedModel withDelta(LinearisedModel model, float[] delta) {
    return start(
        model, model.labels(), model.headWeight(), model.headBias(), delta, model.fit().samples());
  }

  private static float[] join(float[] first, float[] second) {
    float[] both = new float[first.length + second.length];
    System.arraycopy(first, 0, both, 0, first.length);
    System.arraycopy(second, 0, both, first.length, second.length);
    return both;
  }

  private static LinearisedModel start(
      LinearisedModel model,
      List<String> labels,
      float[] weight,
      float[] bias,
      float[] delta,
      int samples) {
    LinearisedModel.Fit fit = model.fit();
    return new LinearisedModel(
        model.origin(),
        model.input(),
        labels,
        weight,
        bias,
        model.linearised(),
        delta,
        new LinearisedModel.Fit(
            "start", fit.seed(), samples, 0, fit.targetScale(), fit.certificate()),
        Provenance.UNKNOWN);
  }
}
