package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.lqf.explain.Answers;
import org.lqf.explain.Calibration;
import org.lqf.explain.GramPosterior;
import org.lqf.explain.KroneckerPosterior;
import org.lqf.explain.LeaveOneOut;
import org.lqf.explain.Posterior;
import org.lqf.image.ImageFolder;
import org.lqf.tune.TrainingImages;
import org.lqf.tune.TrainingListener;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** Whether and how answers come with how sure they are. */
final class UncertaintyOptions {

  static final int BATCH = 64; // images whose covariances are computed together

  /** Ways to a covariance. */
  enum Route {
    AUTO,
    GRAM,
    KRONECKER
  }

  @Option(
      names = "--uncertainty",
      description = "Says how far each score may be off and how likely each answer is right.")
  private boolean wanted;

  @Option(
      names = "--posterior",
      paramLabel = "NAME",
      description =
          "gram (exact, takes about as long as a training by --solver gram), kronecker (an "
              + "approximation for many images, needs --calibrate) or auto: gram where it fits into "
              + "memory. Default: auto.")
  private Route route = Route.AUTO;

  @Option(
      names = "--calibrate",
      paramLabel = "DIR",
      description =
          "Labelled images that were not trained on, to learn from how sure to be. Default: "
              + "leave-one-out answers of the training images.")
  private @Nullable Path calibrate;

  boolean wanted() {
    return wanted;
  }

  /** Refuses options that say nothing without --uncertainty, or too little with it. */
  void check(CommandSpec command, String dataOption, List<Path> data) {
    if (wanted && data.isEmpty()) {
      throw new ParameterException(
          command.commandLine(),
          "--uncertainty needs %s DIR, the images that the model was trained on"
              .formatted(dataOption));
    }
    if (!wanted && (!data.isEmpty() || calibrate != null || route != Route.AUTO)) {
      throw new ParameterException(
          command.commandLine(),
          "%s, --calibrate and --posterior are for --uncertainty; give that too"
              .formatted(dataOption));
    }
    if (route == Route.KRONECKER && calibrate == null) {
      throw new ParameterException(
          command.commandLine(),
          "--posterior kronecker needs --calibrate DIR, labelled images that were not trained on");
    }
  }

  /**
   * Computes what the first answer needs.
   *
   * @param threads that decode images
   */
  Sureness sureness(TrainedModel trained, int threads, ProgressDisplay display) throws IOException {
    boolean gram = route == Route.GRAM || (route == Route.AUTO && trained.dualFits());
    if (!gram && calibrate == null) {
      throw new IOException(
          "a Gram matrix of %d images of %d classes does not fit into memory, and without it --calibrate DIR is needed"
              .formatted(trained.fitted().images(), trained.fitted().classes()));
    }
    Posterior posterior = gram ? gram(trained) : kronecker(trained, display);
    try {
      double scale = trained.model().fit().targetScale();
      if (calibrate == null) {
        Answers answers = Answers.leaveOneOut(trained.dual(), LeaveOneOut.of(trained.dual()));
        Calibration calibration = Calibration.fit(answers, trained.images().labels(), scale);
        return new Sureness(
            posterior,
            calibration,
            "leave-one-out answers of %d training images".formatted(answers.images()));
      }
      List<String> notes = new ArrayList<>();
      ImageFolder held = TrainingData.testImages(calibrate, trained.model().labels(), notes);
      notes.forEach(display::note);
      Answers answers = answers(posterior, trained, held, threads, display, "calibrating");
      return new Sureness(
          posterior,
          Calibration.fit(answers, held.labels(), scale),
          "%d images of %s".formatted(held.size(), calibrate));
    } catch (RuntimeException | IOException e) {
      posterior.close();
      throw e;
    }
  }

  private static Posterior gram(TrainedModel trained) throws IOException {
    return new GramPosterior(trained.fitted(), trained.dual());
  }

  private static Posterior kronecker(TrainedModel trained, ProgressDisplay display)
      throws IOException {
    display.phase("Kronecker factors");
    return KroneckerPosterior.of(trained.fitted());
  }

  /** Answers to the images of a folder, with progress. */
  static Answers answers(
      Posterior posterior,
      TrainedModel trained,
      ImageFolder images,
      int threads,
      ProgressDisplay display,
      String phase)
      throws IOException {
    display.work(phase);
    TrainingImages samples =
        TrainingImages.of(
            trained.model(),
            trained.model().attach(trained.backbone()),
            images,
            threads,
            TrainingListener.NONE);
    int batch = Math.min(BATCH, trained.fitted().maxBatch());
    return Answers.of(trained.fitted(), posterior, samples.inBatchesOf(batch), display::step);
  }
}
