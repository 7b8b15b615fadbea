package org.lqf.tune;

import java.io.IOException;
import java.util.List;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
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
    return train(engine, backbone, images, config, TrainingListener.NONE, TrainingFiles.NONE)
        .model();
  }

  /**
   * Says how {@link #train} would run and what it would need.
   *
   * @throws IllegalArgumentException if the memory of the configuration is too little; says what
   *     would be enough
   */
  public static TuningPlan plan(
      Engine engine, Backbone backbone, ImageFolder images, LqfConfig config) throws IOException {
    InputSpec input = config.input(backbone.input());
    Backbone sized = backbone.withInputSize(input.height(), input.width());
    return Planner.of(engine, sized, images, config);
  }

  /**
   * Fine-tunes, tells how it goes, and keeps what is worth keeping.
   *
   * @param engine stays the caller's
   * @param images the training images
   * @throws IllegalArgumentException if the configuration does not fit the data; says what to do
   * @throws IOException if an image cannot be read, or a file of files belongs to another training
   */
  public static TrainingReport train(
      Engine engine,
      Backbone backbone,
      ImageFolder images,
      LqfConfig config,
      TrainingListener listener,
      TrainingFiles files)
      throws IOException {
    return new Fitting(engine, backbone, images, config, listener, null).run(files);
  }

  /**
   * The same from the linearisation point of another model: its head, layers, size, target scale
   * and ridge take the place of what config says. Only such models can be merged.
   *
   * @param images with the classes of the model
   */
  public static TrainingReport trainLike(
      LinearisedModel model,
      Engine engine,
      Backbone backbone,
      ImageFolder images,
      LqfConfig config,
      TrainingListener listener,
      TrainingFiles files)
      throws IOException {
    LqfConfig same =
        config
            .withSize(model.input().height())
            .withTargetScale(model.fit().targetScale())
            .withRidge(model.fit().ridge())
            .withLayers(new Layers(0, List.copyOf(model.linearised().layers())));
    return new Fitting(engine, backbone, images, same, listener, model).run(files);
  }
}
