package org.lqf.explain;

import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;

/**
 * A new displacement for other images, with its receipt.
 *
 * @param delta [parameters], not copied
 */
public record Change(float[] delta, Receipt receipt) {

  /** The model with this Δ, for images that are not known by name. */
  public LinearisedModel applyTo(LinearisedModel old, String dataDigest) {
    return applyTo(old, dataDigest, Provenance.UNKNOWN);
  }

  /**
   * The model with this Δ.
   *
   * @param old the model that was changed, with the classes that it has now
   * @param dataDigest identity of the images that Δ now belongs to
   * @param provenance these images, and what was done
   */
  public LinearisedModel applyTo(LinearisedModel old, String dataDigest, Provenance provenance) {
    LinearisedModel.Origin origin = old.origin();
    LinearisedModel.Fit fit = old.fit();
    return new LinearisedModel(
        new LinearisedModel.Origin(
            origin.backbone(),
            origin.backboneDigest(),
            origin.backboneHint(),
            dataDigest,
            LinearisedModel.VERSION),
        old.input(),
        old.labels(),
        old.headWeight(),
        old.headBias(),
        old.linearised(),
        delta,
        new LinearisedModel.Fit(
            receipt.route(),
            fit.seed(),
            receipt.imagesAfter(),
            receipt.iterations(),
            fit.targetScale(),
            receipt.certificate()),
        provenance);
  }
}
