package org.lqf.pretrain;

import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.model.TrainableNetwork;
import org.lqf.solve.Checkpoint;
import org.lqf.tune.CheckpointFile;
import org.lqf.tune.TrainingImages;
import org.lqf.tune.TrainingListener;

/** Trains a network from scratch on labelled images. */
public final class Pretraining {

  private Pretraining() {}

  /**
   * Minimises the cross-entropy of the labels.
   *
   * @param engine stays the caller's
   * @param start fresh weights, one output for each class of the images
   * @param checkpoint a file, taken up if it is there and belongs to this very training; the caller
   *     deletes it when the network is stored; null for none
   * @throws IllegalArgumentException if network and images do not fit; says what to do
   * @throws IOException if an image cannot be read, or a checkpoint belongs to another training
   */
  public static WeightSgd.Trained train(
      Engine engine,
      TrainableNetwork start,
      ImageFolder images,
      SgdConfig config,
      TrainingListener listener,
      @Nullable Path checkpoint)
      throws IOException {
    int classes = images.classes().size();
    if (classes < 2 || start.folded().outputShape().size() != classes) {
      throw new IllegalArgumentException(
          "a network of %d outputs for %s; at least two classes and an output for each are needed"
              .formatted(start.folded().outputShape().size(), images));
    }
    listener.phase("reading images");
    ImageDataset prepared = TrainingImages.prepare(images, start.graph().input(), config.readers());
    Checkpoint file = open(checkpoint, start, images, config, "", listener);
    listener.phase("training");
    return WeightSgd.train(
        engine, start, prepared, Objective.crossEntropy(classes), config, listener, file);
  }

  static Checkpoint open(
      @Nullable Path file,
      TrainableNetwork start,
      ImageFolder images,
      SgdConfig config,
      String more,
      TrainingListener listener)
      throws IOException {
    if (file == null) {
      return Checkpoint.NONE;
    }
    String key =
        String.join(
            " ",
            start.graph().digest(),
            start.folded().digest(),
            images.digest(),
            config.key(),
            more);
    Checkpoint checkpoint = CheckpointFile.open(file, key);
    checkpoint
        .restore()
        .ifPresent(state -> listener.note("going on after epoch %d".formatted(state.iteration())));
    return checkpoint;
  }
}
