package org.lqf.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.lqf.engine.Engine;
import org.lqf.explain.DatasetDerivative;
import org.lqf.explain.FittedModel;
import org.lqf.explain.Receipt;
import org.lqf.explain.Reweighting;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.tune.TrainingImages;

/**
 * What test images say of the training images: the derivative of their loss by each training
 * image's weight, and what weighting by it brings. Half of them give the derivative, the other half
 * judges.
 *
 * @param model with the weights
 * @param lossBefore of the judging half, mean of ½‖f(x) − y‖², as the next two
 * @param lossAfter of the same
 * @param before on the judging half
 * @param after on the judging half
 */
record ValidationFindings(
    Reweighting reweighting,
    LinearisedModel model,
    double lossBefore,
    double lossAfter,
    TestScore before,
    TestScore after) {

  /**
   * @param seed of the halves
   * @param threads that decode images
   */
  static ValidationFindings of(
      Engine engine,
      TrainedModel trained,
      ImageFolder tests,
      long seed,
      int threads,
      ProgressDisplay display)
      throws IOException {
    ImageFolder.Split halves = tests.holdout(0.5, seed);
    LinearisedModel model = trained.model();
    TrainingImages guide = images(trained, halves.train(), threads, display);
    TrainingImages judge = images(trained, halves.test(), threads, display);
    display.phase("dataset derivative");
    Reweighting reweighting = Reweighting.of(trained.fitted(), trained.dual(), guide);
    LinearisedModel weighted = weighted(model, reweighting);
    display.phase("testing the weights");
    double before = DatasetDerivative.loss(trained.fitted(), judge);
    double after;
    try (FittedModel changed =
        FittedModel.open(
            engine,
            trained.backbone(),
            weighted,
            trained.fitted().samples(),
            trained.fitted().maxBatch())) {
      after = DatasetDerivative.loss(changed, judge);
    }
    return new ValidationFindings(
        reweighting,
        weighted,
        before,
        after,
        TestScore.of(engine, trained.backbone(), model, halves.test(), display),
        TestScore.of(engine, trained.backbone(), weighted, halves.test(), display));
  }

  private static TrainingImages images(
      TrainedModel trained, ImageFolder folder, int threads, ProgressDisplay display)
      throws IOException {
    Backbone network = trained.model().attach(trained.backbone());
    return TrainingImages.of(trained.model(), network, folder, threads, display)
        .inBatchesOf(trained.fitted().maxBatch());
  }

  /** Its history says that it weights its images: what is asked about these must know. */
  private static LinearisedModel weighted(LinearisedModel model, Reweighting reweighting) {
    String before = model.origin().dataDigest();
    String after = digest(before, reweighting.weights());
    Receipt receipt = reweighting.change().receipt();
    Provenance.Event event =
        new Provenance.Event(
            ModelImages.REWEIGHTED,
            List.of(),
            List.of(),
            List.of(),
            List.of(),
            before,
            after,
            receipt.route(),
            receipt.certificate().gradientNorm(),
            receipt.certifiedRelativeDistance());
    Provenance provenance = model.provenance();
    return reweighting.change().applyTo(model, after, provenance.after(event, provenance.images()));
  }

  /** Identity of weighted images: they are other training data than the unweighted ones. */
  private static String digest(String images, double[] weights) {
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      sha.update(images.getBytes(StandardCharsets.UTF_8));
      for (double weight : weights) {
        sha.update(ByteBuffer.allocate(Double.BYTES).putDouble(weight).array());
      }
      return HexFormat.of().formatHex(sha.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform must provide SHA-256", e);
    }
  }
}
