package org.lqf.tune;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * The files of a training; none of them changes its result.
 *
 * @param backboneHint where the backbone's file lies as seen from the model's, or "": for the model
 *     file
 * @param checkpoint taken up if it is there and belongs to this very training, and replaced while
 *     the solver runs; the caller deletes it when the model is stored; null for none
 * @param factors the Kronecker factors: read if the file is there and belongs to the same network,
 *     head and images, else computed and written; null for none. Solvers without factors leave it
 *     alone
 */
public record TrainingFiles(
    String backboneHint, @Nullable Path checkpoint, @Nullable Path factors) {

  /** Nothing is kept. */
  public static final TrainingFiles NONE = new TrainingFiles("", null, null);

  public TrainingFiles withCheckpoint(Path file) {
    return new TrainingFiles(backboneHint, file, factors);
  }

  public TrainingFiles withFactors(Path file) {
    return new TrainingFiles(backboneHint, checkpoint, file);
  }
}
