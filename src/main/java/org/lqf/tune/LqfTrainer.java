package org.lqf.tune;

import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;

/**
 * Fine-tunes a backbone by LQF (Achille et al. 2021, arXiv 2012.11140).
 *
 * <pre>{@code
 * LinearisedModel model = LqfTrainer.tune(engine, backbone, images, LqfConfig.defaults());
 * model.write(Path.of("photos.lqf"));
 * }</pre>
 */
public final class LqfTrainer {

  private LqfTrainer() {}

  /** Fine-tunes with no ado. */
  public static LinearisedModel tune(
      Engine engine, Backbone backbone, ImageFolder images, LqfConfig config) throws IOException {
    return train(engine, backbone, "", images, config, TrainingListener.NONE, null).model();
  }

  /**
   * Fine-tunes, tells how it goes, and keeps a checkpoint.
   *
   * @param engine stays the caller's
   * @param hint where the backbone's file lies as seen from the model's, or "": for the model file
   * @param images the training images
   * @param checkpoint a file, taken up if it is there and belongs to this very training, and
   *     replaced while the solver runs; the caller deletes it when the model is stored; null for
   *     none
   * @throws IllegalArgumentException if the configuration does not fit the data; says what to do
   * @throws IOException if an image cannot be read, or a checkpoint belongs to another training
   */
  public static TrainingReport train(
      Engine engine,
      Backbone backbone,
      String hint,
      ImageFolder images,
      LqfConfig config,
      TrainingListener listener,
      @Nullable Path checkpoint)
      throws IOException {
    return new Fitting(engine, backbone, images, config, listener).run(hint, checkpoint);
  }
}
