package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.Dual;
import org.lqf.explain.FittedModel;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.solve.GramMatrix;
import org.lqf.tune.FreeMemory;
import org.lqf.tune.TrainingImages;

/**
 * A model with its network and the very images it was trained on, to ask about them or to change
 * them. Image i of {@link #images} is image i of {@link #fitted}. Not for several threads at once.
 */
final class TrainedModel implements AutoCloseable {

  private final ModelFile input;
  private final ImageFolder images;
  private final FittedModel fitted;
  private final ProgressDisplay display;
  private @Nullable Dual dual;

  private TrainedModel(
      ModelFile input, ImageFolder images, FittedModel fitted, ProgressDisplay display) {
    this.input = input;
    this.images = images;
    this.fitted = fitted;
    this.display = display;
  }

  /**
   * Opens all three and checks that they belong together.
   *
   * @param engine stays the caller's
   * @param graph of the network, or null: where the model says
   * @param data folders that have the images, see {@link ModelImages}
   * @param threads that decode images
   * @throws IOException if one cannot be read or the images are not those of the training; says
   *     which
   */
  static TrainedModel open(
      Engine engine,
      Path file,
      @Nullable Path graph,
      List<Path> data,
      int threads,
      ProgressDisplay display)
      throws IOException {
    return open(engine, ModelFile.open(file, graph), data, threads, display);
  }

  /** The same of a model that was read. */
  static TrainedModel open(
      Engine engine, ModelFile input, List<Path> data, int threads, ProgressDisplay display)
      throws IOException {
    LinearisedModel model = input.model();
    List<String> notes = new ArrayList<>();
    ImageFolder images = ModelImages.find(model, data, notes);
    notes.forEach(display::note);
    display.phase("reading images");
    Backbone network = model.attach(input.backbone());
    TrainingImages samples = TrainingImages.of(model, network, images, threads, display);
    FittedModel fitted =
        FittedModel.open(engine, input.backbone(), model, samples, samples.batch());
    return new TrainedModel(input, images, fitted, display);
  }

  LinearisedModel model() {
    return input.model();
  }

  /** As it came, without the model's head. */
  Backbone backbone() {
    return input.backbone();
  }

  /** The training images in their order; names for reports. */
  ImageFolder images() {
    return images;
  }

  /** Owned by this. */
  FittedModel fitted() {
    return fitted;
  }

  /** Whether the memory that is free now holds a Gram matrix of these images. */
  boolean dualFits() {
    return GramMatrix.fits(fitted.plan(), fitted.images(), FreeMemory.bytes());
  }

  /**
   * The Gram inverse of the training images, computed at the first call: about as much work as a
   * training by gram.
   *
   * @return owned by this
   * @throws IllegalArgumentException if it does not fit into memory; says what it needs
   */
  Dual dual() throws IOException {
    if (dual == null) {
      if (!dualFits()) {
        throw new IllegalArgumentException(
            "%d images × %d classes need a Gram matrix of %.1f GB with its workspace, more than half of the %.1f GB that are free; give it more memory, or ask a model of fewer images (lqf tune --limit-per-class N)"
                .formatted(
                    fitted.images(),
                    fitted.classes(),
                    GramMatrix.bytes(fitted.plan(), fitted.images()) / 1e9,
                    FreeMemory.bytes() / 1e9));
      }
      display.work("Gram matrix");
      dual = Dual.of(fitted, display::step);
    }
    return dual;
  }

  /** {@link #dual}, from now on owned by the caller. */
  Dual takeDual() throws IOException {
    Dual taken = dual();
    dual = null;
    return taken;
  }

  @Override
  public void close() {
    if (dual != null) {
      dual.close();
    }
    fitted.close();
  }
}
