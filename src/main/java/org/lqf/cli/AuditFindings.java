package org.lqf.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.lqf.explain.Audit;
import org.lqf.explain.Dual;
import org.lqf.explain.LeaveOneOut;
import org.lqf.explain.RidgePath;
import org.lqf.image.ImageFile;
import org.lqf.model.LinearisedModel;
import org.lqf.predict.ConfusionMatrix;

/**
 * What {@code lqf audit} found, for its table, page and files.
 *
 * @param images in the order of the dual
 * @param values see {@link Audit#values}, [N]
 * @param pairs alike under different labels, most alike first
 * @param path null if it was not asked for
 * @param validation null without test images
 */
record AuditFindings(
    LinearisedModel model,
    List<ImageFile> images,
    Audit audit,
    double[] values,
    List<Audit.Pair> pairs,
    @Nullable RidgePath path,
    @Nullable ValidationFindings validation) {

  private static final int PER_DECADE = 4;
  private static final int DECADES = 3; // to either side of the model's ridge

  /**
   * Computes all but the last.
   *
   * @param alike cosine from which two images count as the same picture
   */
  static AuditFindings of(
      TrainedModel trained, double alike, boolean withPath, ProgressDisplay display)
      throws IOException {
    Dual dual = trained.dual();
    Audit audit = Audit.of(dual);
    display.work("value of every image");
    double[] values = audit.values(display::step);
    RidgePath path = null;
    if (withPath) {
      display.phase("ridge path: one eigendecomposition of side " + dual.side());
      path = RidgePath.of(dual, RidgePath.decades(-DECADES, DECADES, PER_DECADE));
    }
    return new AuditFindings(
        trained.model(),
        trained.images().images(),
        audit,
        values,
        audit.contradictions(alike, Integer.MAX_VALUE),
        path,
        null);
  }

  AuditFindings with(ValidationFindings found) {
    return new AuditFindings(model, images, audit, values, pairs, path, found);
  }

  LeaveOneOut leaveOneOut() {
    return audit.leaveOneOut();
  }

  String file(int image) {
    return images.get(image).relativeName();
  }

  String label(int image) {
    return model.labels().get(leaveOneOut().label(image));
  }

  /** What the others would call it. */
  String predicted(int image) {
    return model.labels().get(leaveOneOut().predicted(image));
  }

  /** In units of scores, as {@code lqf predict} gives them. */
  double margin(int image) {
    return leaveOneOut().margin(image) / model.fit().targetScale();
  }

  /** Losses in units of squared scores. */
  double loss(double loss) {
    double scale = model.fit().targetScale();
    return loss / (scale * scale);
  }

  double value(int image) {
    return loss(values[image]);
  }

  /** Images that the others would give another class, the clearest first. */
  List<Integer> suspects() {
    return audit.suspects().stream().filter(i -> leaveOneOut().margin(i) < 0).toList();
  }

  /** Images by decreasing value. */
  List<Integer> useful() {
    return IntStream.range(0, values.length)
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -values[i]))
        .toList();
  }

  /** Images by increasing value, as far as it is negative. */
  List<Integer> harmful() {
    List<Integer> order = new ArrayList<>(useful());
    Collections.reverse(order);
    return order.stream().filter(i -> values[i] < 0).toList();
  }

  /** λ of a point of the path. */
  double ridge(RidgePath.Point point) {
    return point.mu() / images.size();
  }

  /** What the others say of each image. */
  ConfusionMatrix confusions() {
    int classes = model.labels().size();
    int[][] counts = new int[classes][classes];
    for (int i = 0; i < images.size(); i++) {
      counts[leaveOneOut().label(i)][leaveOneOut().predicted(i)]++;
    }
    return new ConfusionMatrix(model.labels(), counts);
  }

  /** Of the leave-one-out accuracy, as for another sample of as many images. */
  double standardError() {
    double accuracy = leaveOneOut().accuracy();
    return Math.sqrt(accuracy * (1 - accuracy) / images.size());
  }
}
