package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.Receipt;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;

/** Stores a changed model, and tells people and machines what was done and what is proven. */
final class ChangeReceipt {

  private static final int SHOWN = 10; // names

  private final ModelChange change;
  private final ModelChange.Result result;
  private final ChangeOptions options;
  private final Engine engine;
  private final double seconds;

  ChangeReceipt(
      ModelChange change,
      ModelChange.Result result,
      ChangeOptions options,
      Engine engine,
      double seconds) {
    this.change = change;
    this.result = result;
    this.options = options;
    this.engine = engine;
    this.seconds = seconds;
  }

  /**
   * Writes the model, then the receipt, each as a whole or not at all. A model without its receipt
   * file still has the change in its history.
   */
  void finish(PrintWriter to) throws IOException {
    String before = Digests.sha256(options.file());
    LinearisedModel model = result.model().withBackboneHint(options.hint(change.before()));
    Path out = options.out();
    String after = null;
    if (out != null) {
      model.write(out);
      after = Digests.sha256(out);
    }
    Path file = options.receipt();
    if (file != null) {
      metrics(model)
          .put("modelSha256Before", before)
          .put("modelSha256After", after)
          .cost(engine, options.device().threads(), seconds)
          .write(file);
    }
    print(to, before, after);
    to.println();
    to.println(out == null ? "not saved; --out FILE.lqf would" : "wrote " + out);
    to.flush();
  }

  private Metrics metrics(LinearisedModel model) {
    Receipt receipt = result.receipt();
    return new Metrics()
        .put("kind", change.kind())
        .put("claim", claim())
        .put("headKept", change.keepsHead())
        .put("removed", files(change.removed()))
        .put("added", files(change.added()))
        .put("removedClasses", change.removedClasses())
        .put("addedClasses", change.addedClasses())
        .put("samePicturesLeft", samePicturesLeft())
        .put("imagesBefore", receipt.imagesBefore())
        .put("imagesAfter", receipt.imagesAfter())
        .put("dataDigestBefore", result.event().dataDigestBefore())
        .put("dataDigestAfter", result.event().dataDigestAfter())
        .put("route", receipt.route())
        .put("certifiedDistance", receipt.certificate().distance())
        .put("certifiedRelativeDistance", receipt.certifiedRelativeDistance())
        .put("deltaNorm", receipt.deltaNorm())
        .put("deltaChange", receipt.change())
        .model(model);
  }

  private void print(PrintWriter to, String before, @Nullable String after) {
    Receipt receipt = result.receipt();
    ResultTable table = new ResultTable(to);
    names(table, "removed", change.removed());
    names(table, "added", change.added());
    if (!change.removedClasses().isEmpty()) {
      table.line("removed classes", String.join(", ", change.removedClasses()));
    }
    if (!change.addedClasses().isEmpty()) {
      table.line("added classes", String.join(", ", change.addedClasses()));
    }
    for (String name : samePicturesLeft()) {
      table.line("NOTE", "the same picture stays under another name: " + name);
    }
    LinearisedModel.Fit fit = result.model().fit();
    table
        .line(
            "images",
            "%d before, %d after".formatted(receipt.imagesBefore(), receipt.imagesAfter()))
        .line("route", "%s, %d iterations".formatted(receipt.route(), receipt.iterations()))
        .certificate(fit.certificate())
        .line(
            "distance",
            "%.2g of ‖Δ‖: certified to be at most this far from the one optimum"
                .formatted(receipt.certifiedRelativeDistance()))
        .line("Δ moved by", "%.2g of ‖Δ‖".formatted(receipt.change() / receipt.deltaNorm()))
        .line(
            "image digests",
            "%s before, %s after"
                .formatted(result.event().dataDigestBefore(), result.event().dataDigestAfter()))
        .line(
            "model SHA-256",
            "%s before, %s".formatted(before, after == null ? "not saved" : after + " after"))
        .line("claim", claim())
        .cost(seconds);
  }

  private String claim() {
    String images =
        "Δ is that of a training from scratch on the images after, within the certified distance, ";
    return change.keepsHead()
        ? images
            + "from the same linearisation point: network, head and ridge are those of the first training"
        : images + "from a head that was computed from these images alone; the ridge was kept";
  }

  private static void names(ResultTable table, String what, List<Provenance.Image> images) {
    if (images.isEmpty()) {
      return;
    }
    List<String> names = images.stream().limit(SHOWN).map(Provenance.Image::name).toList();
    int more = images.size() - SHOWN;
    table.line(
        what,
        "%d images: %s%s"
            .formatted(
                images.size(),
                String.join(", ", names),
                more > 0 ? " and %d more".formatted(more) : ""));
  }

  /** Images that stay although their file has the same bytes as one that was removed. */
  private List<String> samePicturesLeft() {
    Set<String> gone = new HashSet<>(result.event().removed());
    return change.imagesAfter().stream()
        .filter(image -> gone.contains(image.sha256()))
        .map(Provenance.Image::name)
        .toList();
  }

  private static List<Map<String, String>> files(List<Provenance.Image> images) {
    List<Map<String, String>> files = new ArrayList<>();
    for (Provenance.Image image : images) {
      Map<String, String> file = new LinkedHashMap<>();
      file.put("name", image.name());
      file.put("sha256", image.sha256());
      files.add(file);
    }
    return files;
  }
}
