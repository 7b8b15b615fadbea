package org.lqf.cli;

import java.io.IOException;
import java.util.Arrays;
import org.lqf.engine.Engine;
import org.lqf.explain.ClassChange;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.tune.LinearProbe;
import org.lqf.tune.TrainingImages;

/**
 * The linear probe of some images as a head for a model, grown by its target scale: what {@code lqf
 * tune} begins with.
 *
 * @param weight [classes, features]
 * @param bias [classes]
 */
record ProbeHead(float[] weight, float[] bias) {

  /** Of the classes that the images have, whatever head the model has. */
  static ProbeHead of(
      Engine engine, ModelFile model, ImageFolder images, int threads, ProgressDisplay display)
      throws IOException {
    display.phase("linear probe");
    LinearisedModel old = model.model();
    Backbone sized = old.attach(model.backbone());
    TrainingImages samples =
        TrainingImages.of(ClassChange.none(old, images.size()), sized, images, threads, display);
    LinearProbe probe =
        LinearProbe.of(
            engine, sized, samples, images.labels(), images.classes().size(), samples.batch());
    return new ProbeHead(
        scaled(probe.weight(), old.fit().targetScale()),
        scaled(probe.bias(), old.fit().targetScale()));
  }

  private static float[] scaled(float[] values, double factor) {
    float[] scaled = values.clone();
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] *= (float) factor;
    }
    return scaled;
  }

  /** The rows from a class on. */
  float[] weight(int from) {
    return Arrays.copyOfRange(weight, from * (weight.length / bias.length), weight.length);
  }

  float[] bias(int from) {
    return Arrays.copyOfRange(bias, from, bias.length);
  }
}
