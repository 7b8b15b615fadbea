package org.lqf.predict;

import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.ImageTransform;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.LinearisedModel;

/**
 * A linearised model ready to serve: f(x) = f(x; w0) + J(x)·Δ, divided by the target scale.
 *
 * <p>Safe to share: any number of threads may call it, and {@link #close} waits for the calls that
 * are running; later calls throw IllegalStateException. Backbone and Δ are on the device from
 * {@link #open} on, memory does not grow with the number of calls. The engine runs one call at a
 * time with all its threads, so a service that wants throughput hands over batches.
 *
 * <p>Owns its plan and its copy of Δ, not the engine: close the classifier before the engine.
 */
public final class Classifier implements AutoCloseable {

  /** Images that {@link #open(Engine, Backbone, LinearisedModel)} makes room for. */
  public static final int DEFAULT_BATCH = 16;

  private final List<String> labels;
  private final InputSpec input;
  private final @Nullable ImageTransform transform; // null where the input is no image
  private final float scale; // 1 / target scale
  private final Plan plan;
  private final DeviceVector delta; // [parameters]
  private volatile boolean closed;

  private Classifier(LinearisedModel model, Plan plan, DeviceVector delta) {
    this.labels = model.labels();
    this.input = model.input();
    this.transform =
        input.channels() == 1 || input.channels() == 3
            ? new ImageTransform(
                input.channels(), input.height(), input.width(), input.mean(), input.std())
            : null;
    this.scale = (float) (1 / model.fit().targetScale());
    this.plan = plan;
    this.delta = delta;
  }

  /** Same as below with room for {@link #DEFAULT_BATCH} images. */
  public static Classifier open(Engine engine, Backbone backbone, LinearisedModel model) {
    return open(engine, backbone, model, DEFAULT_BATCH);
  }

  /**
   * Checks that the model belongs to the backbone, compiles, and uploads Δ.
   *
   * @param engine stays the caller's; must outlive the classifier
   * @param backbone the network the model was tuned from, at any input size
   * @param maxBatch images per native call; more images are cut into such batches
   * @throws IllegalArgumentException if the model was made from another backbone; the message names
   *     both digests
   */
  public static Classifier open(
      Engine engine, Backbone backbone, LinearisedModel model, int maxBatch) {
    Plan plan = engine.compile(model.attach(backbone), model.linearised(), maxBatch);
    try {
      return new Classifier(model, plan, engine.vector(model.delta()));
    } catch (RuntimeException e) {
      plan.close();
      throw e;
    }
  }

  /** Class names; a position here is an index of {@link Prediction} and of a row of scores. */
  public List<String> labels() {
    return labels;
  }

  /** What one image looks like to the network: channels, height, width, normalisation. */
  public InputSpec input() {
    return input;
  }

  /** Length of one prepared image: channels·height·width. */
  public int imageLength() {
    return input.channels() * input.height() * input.width();
  }

  /** Resizes, crops and normalises the image as the training images were, then classifies it. */
  public Prediction classify(BufferedImage image) {
    float[] prepared = new float[imageLength()];
    prepare(image, prepared, 0);
    return classify(prepared);
  }

  /**
   * Classifies one prepared image.
   *
   * @param prepared [channels, height, width], normalised, finite
   */
  public Prediction classify(float[] prepared) {
    if (prepared.length != imageLength()) {
      throw new IllegalArgumentException(
          "one image of %s has %d values, got %d"
              .formatted(input.shape(), imageLength(), prepared.length));
    }
    float[] scores = new float[labels.size()];
    scores(prepared, 1, scores);
    return Prediction.of(labels, scores, 0);
  }

  /** Classifies images together, which is faster than one by one; results in their order. */
  public List<Prediction> classify(List<BufferedImage> images) {
    int length = imageLength();
    List<Prediction> predictions = new ArrayList<>(images.size());
    for (int from = 0; from < images.size(); from += maxBatch()) {
      List<BufferedImage> batch = images.subList(from, Math.min(from + maxBatch(), images.size()));
      float[] prepared = new float[batch.size() * length];
      for (int i = 0; i < batch.size(); i++) {
        prepare(batch.get(i), prepared, i * length);
      }
      float[] scores = new float[batch.size() * labels.size()];
      scores(prepared, batch.size(), scores);
      for (int i = 0; i < batch.size(); i++) {
        predictions.add(Prediction.of(labels, scores, i));
      }
    }
    return predictions;
  }

  /**
   * Resizes, crops and normalises an image as the training images were.
   *
   * @param out [channels, height, width] from {@code offset} on, overwritten
   */
  public void prepare(BufferedImage image, float[] out, int offset) {
    if (transform == null) {
      throw new IllegalArgumentException(
          "the network takes %s, which is no image; prepare the values and call classify(float[])"
              .formatted(input.shape()));
    }
    transform.applyInto(image, out, offset);
  }

  /**
   * Scores of prepared images, without allocating: the path for a service that has its own buffers.
   *
   * @param images [n, channels, height, width], normalised, finite; may be longer
   * @param n 1 to {@link #maxBatch()}
   * @param scores [n, classes], overwritten; may be longer
   * @throws IllegalArgumentException if a length does not fit or an input is NaN or infinite
   * @throws IllegalStateException if the classifier is closed
   */
  public void scores(float[] images, int n, float[] scores) {
    checkBatch(images, n, scores);
    if (closed) {
      throw new IllegalStateException("this classifier is closed");
    }
    plan.predict(delta, images, n, scores);
    for (int i = 0; i < n * labels.size(); i++) {
      scores[i] *= scale;
    }
  }

  /** The most images {@link #scores} takes. */
  public int maxBatch() {
    return plan.maxBatch();
  }

  private void checkBatch(float[] images, int n, float[] scores) {
    if (n < 1 || n > maxBatch()) {
      throw new IllegalArgumentException(
          "a batch of %d images; this classifier takes 1 to %d".formatted(n, maxBatch()));
    }
    int length = imageLength();
    if (images.length < (long) n * length) {
      throw new IllegalArgumentException(
          "%d images of %s need %d values, got %d"
              .formatted(n, input.shape(), (long) n * length, images.length));
    }
    if (scores.length < (long) n * labels.size()) {
      throw new IllegalArgumentException(
          "%d images of %d classes need %d scores, got room for %d"
              .formatted(n, labels.size(), (long) n * labels.size(), scores.length));
    }
    for (int i = 0; i < n * length; i++) {
      if (!Float.isFinite(images[i])) {
        throw new IllegalArgumentException(
            "image %d: value %d of %d is %s; inputs must be finite"
                .formatted(i / length, i % length, length, images[i]));
      }
    }
  }

  /** Waits for running calls, then frees the device memory. Closing twice is allowed. */
  @Override
  public void close() {
    closed = true;
    plan.close();
    delta.close();
  }
}
