package org.lqf.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.lqf.explain.Audit;
import org.lqf.explain.LeaveOneOut;
import org.lqf.explain.RidgePath;
import org.lqf.predict.ConfusionMatrix;
import org.lqf.report.Block;
import org.lqf.report.LinePlot;
import org.lqf.report.Page;
import org.lqf.report.Thumbnail;
import org.lqf.report.Tile;

/** The findings of {@code lqf audit} as a page and as tables. */
final class AuditPage {

  static final List<String> COLUMNS =
      List.of(
          "image",
          "label",
          "predicted",
          "suspectRank",
          "margin",
          "looLoss",
          "selfInfluence",
          "value",
          "alike",
          "alikeLabel",
          "alikeCosine",
          "validationDerivative",
          "weight");

  private final AuditFindings found;
  private final int top; // images of a list

  AuditPage(AuditFindings found, int top) {
    this.found = found;
    this.top = top;
  }

  Page page() throws IOException {
    List<Page.Section> sections = new ArrayList<>();
    sections.add(new Page.Section("In short", List.of(summary(), classes())));
    sections.add(suspects());
    sections.add(contradictions());
    sections.add(values());
    if (found.validation() != null) {
      sections.add(validation(found.validation()));
    }
    if (found.path() != null) {
      sections.add(ridgePath(found.path()));
    }
    return new Page(
        "Audit of %d training images".formatted(found.images().size()),
        "What each training image does to the model, in closed form: nothing here was sampled or "
            + "estimated, and no model was retrained. Scores are about 1 for the class of an image and "
            + "0 for the others; losses are half squared errors of scores.",
        sections);
  }

  private Block summary() {
    LeaveOneOut loo = found.leaveOneOut();
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "leave-one-out accuracy",
            "%.1f %% ± %.1f".formatted(100 * loo.accuracy(), 100 * found.standardError())));
    rows.add(List.of("leave-one-out loss", number(found.loss(loo.meanLoss()))));
    rows.add(List.of("loss on the images it knows", number(found.loss(loo.fittedLoss()))));
    rows.add(List.of("likely label errors", "%d of %d".formatted(suspectCount(), loo.images())));
    rows.add(List.of("pairs alike under different labels", String.valueOf(found.pairs().size())));
    rows.add(List.of("ridge λ", "%.4g".formatted(found.model().fit().ridge())));
    return new Block.Table(List.of("", "value"), rows);
  }

  private int suspectCount() {
    return found.suspects().size();
  }

  private Block classes() {
    ConfusionMatrix confusions = found.confusions();
    List<List<String>> rows = new ArrayList<>();
    for (int c = 0; c < confusions.labels().size(); c++) {
      int label = c;
      int worst =
          IntStream.range(0, confusions.labels().size())
              .filter(other -> other != label)
              .reduce((a, b) -> confusions.count(label, a) >= confusions.count(label, b) ? a : b)
              .orElse(label);
      int count = confusions.count(label, worst);
      rows.add(
          List.of(
              confusions.labels().get(label),
              String.valueOf(confusions.images(label)),
              confusions.images(label) == 0
                  ? "-"
                  : "%.1f %%".formatted(100 * confusions.accuracy(label)),
              count == 0 ? "-" : "%s (%d)".formatted(confusions.labels().get(worst), count)));
    }
    return new Block.Table(
        List.of("class", "images", "leave-one-out accuracy", "most often taken for"), rows);
  }

  private Page.Section suspects() throws IOException {
    List<Integer> suspects = found.suspects();
    List<Tile> tiles = new ArrayList<>();
    for (int image : suspects.stream().limit(top).toList()) {
      tiles.add(
          tile(
              image,
              Tile.Tone.BAD,
              "labelled " + found.label(image),
              "the others say " + found.predicted(image),
              "margin %.2f".formatted(found.margin(image))));
    }
    return section(
        "Likely label errors",
        "Images that the model, trained on all the others, gives another class; the clearest first. The margin is "
            + "the score of the given label minus the highest other score. An image here is wrongly labelled, "
            + "or unlike its class: look before you remove it.",
        suspects.size(),
        tiles);
  }

  private Page.Section contradictions() throws IOException {
    List<Tile> tiles = new ArrayList<>();
    for (Audit.Pair pair : found.pairs().stream().limit(top).toList()) {
      tiles.add(
          new Tile(
              List.of(thumbnail(pair.first()), thumbnail(pair.second())),
              found.file(pair.first()) + " · " + found.file(pair.second()),
              List.of(
                  "labelled %s · %s"
                      .formatted(found.label(pair.first()), found.label(pair.second())),
                  "alike %.4f".formatted(pair.cosine())),
              Tile.Tone.BAD));
    }
    return section(
        "Alike, but labelled differently",
        "Pairs that the network can hardly tell apart, under different labels; 1 means the same picture. "
            + "One label of each pair is likely wrong, or the classes overlap.",
        found.pairs().size(),
        tiles);
  }

  private Page.Section values() throws IOException {
    List<Block> blocks = new ArrayList<>();
    blocks.add(
        new Block.Text(
            "By how much the leave-one-out losses of all other images together would rise without an image. "
                + "Most useful:"));
    blocks.add(new Block.Tiles(valued(found.useful(), Tile.Tone.GOOD)));
    blocks.add(new Block.Text("Most harmful, without which the others would be answered better:"));
    blocks.add(new Block.Tiles(valued(found.harmful(), Tile.Tone.BAD)));
    return new Page.Section("Most and least useful images", blocks);
  }

  private List<Tile> valued(List<Integer> images, Tile.Tone tone) throws IOException {
    List<Tile> tiles = new ArrayList<>();
    for (int image : images.stream().limit(Math.max(1, top / 2)).toList()) {
      tiles.add(
          tile(
              image,
              tone,
              "labelled " + found.label(image),
              "value %+.3f".formatted(found.value(image))));
    }
    return tiles;
  }

  private Page.Section validation(ValidationFindings judged) throws IOException {
    double[] derivative = judged.reweighting().derivative();
    List<Integer> order =
        IntStream.range(0, derivative.length)
            .boxed()
            .sorted((a, b) -> Double.compare(derivative[a], derivative[b]))
            .toList();
    List<Block> blocks = new ArrayList<>();
    blocks.add(
        new Block.Text(
            "The derivative of the loss on one half of the test images by the weight of each training image, "
                + "and what weighting by it does to the other half, which had no say: the loss goes from %s to %s, "
                    .formatted(
                        number(found.loss(judged.lossBefore())),
                        number(found.loss(judged.lossAfter())))
                + "the accuracy from %.1f %% to %.1f %% (± %.1f). More of these would help most:"
                    .formatted(
                        100 * judged.before().accuracy(),
                        100 * judged.after().accuracy(),
                        100 * judged.after().standardError())));
    blocks.add(new Block.Tiles(derived(order, judged, Tile.Tone.GOOD)));
    blocks.add(new Block.Text("Less of these would help most:"));
    List<Integer> worst = new ArrayList<>(order);
    Collections.reverse(worst);
    blocks.add(new Block.Tiles(derived(worst, judged, Tile.Tone.BAD)));
    return new Page.Section("What the test images say", blocks);
  }

  private List<Tile> derived(List<Integer> order, ValidationFindings judged, Tile.Tone tone)
      throws IOException {
    List<Tile> tiles = new ArrayList<>();
    for (int image : order.stream().limit(Math.max(1, top / 2)).toList()) {
      tiles.add(
          tile(
              image,
              tone,
              "labelled " + found.label(image),
              "derivative %+.2e".formatted(found.loss(judged.reweighting().derivative()[image])),
              "weight %.2f".formatted(judged.reweighting().weights()[image])));
    }
    return tiles;
  }

  private Page.Section ridgePath(RidgePath path) {
    double own = found.model().fit().ridge();
    double chosen = found.ridge(path.bestByLeaveOneOut());
    LinePlot losses =
        new LinePlot(
            new LinePlot.Axis("ridge λ", true),
            new LinePlot.Axis("loss", true),
            List.of(
                curve("leave-one-out", path, point -> found.loss(point.looLoss())),
                curve("cross-validation (GCV)", path, point -> found.loss(point.gcv())),
                curve("on known images", path, point -> found.loss(point.fittedLoss()))),
            List.of(
                new LinePlot.Mark("this model", own),
                new LinePlot.Mark("least leave-one-out loss", chosen)));
    LinePlot accuracy =
        new LinePlot(
            new LinePlot.Axis("ridge λ", true),
            new LinePlot.Axis("leave-one-out accuracy, %", false),
            List.of(curve("accuracy", path, point -> 100 * point.looAccuracy())),
            List.of(
                new LinePlot.Mark("this model", own),
                new LinePlot.Mark("least leave-one-out loss", chosen)));
    List<List<String>> rows = new ArrayList<>();
    for (RidgePath.Point point : path.points()) {
      rows.add(
          List.of(
              "%.3g".formatted(found.ridge(point)),
              number(found.loss(point.looLoss())),
              "%.1f %%".formatted(100 * point.looAccuracy()),
              number(found.loss(point.gcv())),
              number(found.loss(point.fittedLoss())),
              "%.0f".formatted(point.freedom())));
    }
    return new Page.Section(
        "Ridge path",
        List.of(
            new Block.Text(choice(found, path)),
            new Block.Picture(losses, "Losses by ridge; the table below has the numbers."),
            new Block.Picture(accuracy, "Accuracy by ridge; the table below has the numbers."),
            new Block.Table(
                List.of(
                    "λ",
                    "leave-one-out loss",
                    "leave-one-out accuracy",
                    "GCV",
                    "loss on known images",
                    "effective parameters"),
                rows)));
  }

  /** The chosen ridge in words. */
  static String choice(AuditFindings found, RidgePath path) {
    RidgePath.Point best = path.bestByLeaveOneOut();
    RidgePath.Point other = path.bestByGcv();
    return "Leave-one-out loss is least at λ = %.3g%s, GCV at %.3g%s; this model has λ = %.3g. To use the first: lqf tune --ridge %.3g"
        .formatted(
            found.ridge(best),
            edge(path, best),
            found.ridge(other),
            edge(path, other),
            found.model().fit().ridge(),
            found.ridge(best));
  }

  /** Beyond an end of the path there may be a better one. */
  private static String edge(RidgePath path, RidgePath.Point point) {
    int at = path.points().indexOf(point);
    return at == 0 || at == path.points().size() - 1 ? " (the end of the range)" : "";
  }

  private LinePlot.Curve curve(
      String name, RidgePath path, ToDoubleFunction<RidgePath.Point> value) {
    return new LinePlot.Curve(
        name,
        path.points().stream().mapToDouble(found::ridge).toArray(),
        path.points().stream().mapToDouble(value).toArray());
  }

  private Page.Section section(String heading, String text, int all, List<Tile> tiles) {
    String count =
        all == 0
            ? " There are none."
            : tiles.size() < all
                ? " The first %d of %d; the CSV file has all.".formatted(tiles.size(), all)
                : "";
    List<Block> blocks = new ArrayList<>(List.of(new Block.Text(text + count)));
    if (!tiles.isEmpty()) {
      blocks.add(new Block.Tiles(tiles));
    }
    return new Page.Section(heading, blocks);
  }

  private Tile tile(int image, Tile.Tone tone, String... lines) throws IOException {
    return new Tile(thumbnail(image), found.file(image), Arrays.asList(lines), tone);
  }

  private Thumbnail thumbnail(int image) throws IOException {
    return Thumbnail.of(found.images().get(image).path());
  }

  /** One row for each image in the order of the data; columns: {@link #COLUMNS}. */
  List<List<String>> rows() {
    LeaveOneOut loo = found.leaveOneOut();
    int[] rank = new int[loo.images()];
    int next = 1;
    for (int image : found.audit().suspects()) {
      rank[image] = next++;
    }
    ValidationFindings judged = found.validation();
    List<List<String>> rows = new ArrayList<>();
    for (int i = 0; i < loo.images(); i++) {
      int alike = found.audit().mostAlike(i);
      rows.add(
          List.of(
              found.file(i),
              found.label(i),
              found.predicted(i),
              String.valueOf(rank[i]),
              number(found.margin(i)),
              number(found.loss(loo.loss(i))),
              number(loo.selfInfluence(i) / found.model().fit().targetScale()),
              number(found.value(i)),
              alike < 0 ? "" : found.file(alike),
              alike < 0 ? "" : found.label(alike),
              alike < 0 ? "" : number(found.audit().dual().cosine(i, alike)),
              judged == null
                  ? ""
                  : "%.6g".formatted(found.loss(judged.reweighting().derivative()[i])),
              judged == null ? "" : number(judged.reweighting().weights()[i])));
    }
    return rows;
  }

  private static String number(double value) {
    return "%.5g".formatted(value);
  }
}
