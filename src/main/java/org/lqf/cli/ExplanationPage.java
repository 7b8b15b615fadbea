package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.lqf.explain.Influence;
import org.lqf.image.ImageFile;
import org.lqf.report.Block;
import org.lqf.report.ContactSheet;
import org.lqf.report.Page;
import org.lqf.report.Thumbnail;
import org.lqf.report.Tile;

/** Explanations as a page and as contact sheets. */
final class ExplanationPage {

  private static final int CLASSES = 10; // shown of each image

  private final List<Explanation> explanations;
  private final List<ImageFile> training;
  private final int top; // images to either side

  ExplanationPage(List<Explanation> explanations, List<ImageFile> training, int top) {
    this.explanations = explanations;
    this.training = training;
    this.top = top;
  }

  Page page() throws IOException {
    List<Page.Section> sections = new ArrayList<>();
    for (Explanation explanation : explanations) {
      sections.add(section(explanation));
    }
    return new Page(
        "Why these answers",
        "Each score is, exactly, the score at the starting point of fine-tuning (the network as it came, with the "
            + "linear probe as its last layer) plus one term for each of the %d training images. "
                .formatted(training.size())
            + "A score is about 1 for the class of an image and about 0 for others. Terms may be large and cancel: an "
            + "image and its look-alike under another label pull to opposite sides. What hangs on an image is what the "
            + "score would be without it; where it says \"about\", to first order.",
        sections);
  }

  private Page.Section section(Explanation why) throws IOException {
    String asked = why.labels().get(why.asked());
    List<Block> blocks = new ArrayList<>();
    blocks.add(new Block.Tiles(List.of(photo(why))));
    blocks.add(new Block.Text(sum(why)));
    blocks.add(split(why));
    blocks.add(
        new Block.Text("Training images that add most to the score of %s:".formatted(asked)));
    blocks.add(new Block.Tiles(tiles(why, why.supporting(top), Tile.Tone.GOOD)));
    blocks.add(new Block.Text("Training images that take most from it:"));
    blocks.add(new Block.Tiles(tiles(why, why.opposing(top), Tile.Tone.BAD)));
    if (why.influence() != null) {
      List<Integer> decisive = why.decisive();
      blocks.add(
          new Block.Text(
              decisive.isEmpty()
                  ? "There is no training image whose removal alone would change the answer."
                  : "Without any one of these %d training images the answer would be another:"
                      .formatted(decisive.size())));
      if (!decisive.isEmpty()) {
        blocks.add(
            new Block.Tiles(tiles(why, decisive.stream().limit(top).toList(), Tile.Tone.PLAIN)));
      }
    }
    return new Page.Section(name(why.image()), blocks);
  }

  /** The sum, checked, in words. */
  static String sum(Explanation why) {
    int c = why.asked();
    String sentence =
        "%.4f at the starting point %+.4f from %d training images = %.4f; what is missing to the score of the model is %.1e."
            .formatted(
                why.base(c),
                why.terms(c),
                why.split().images(),
                why.base(c) + why.terms(c),
                why.rest(c));
    return why.sumError() <= Explanation.ROUNDING
        ? sentence
        : sentence
            + " That is more than rounding: the solver of this model stopped before the optimum, for which the terms hold.";
  }

  private static Block split(Explanation why) {
    List<List<String>> rows = new ArrayList<>();
    IntStream.range(0, why.labels().size())
        .boxed()
        .sorted((a, b) -> Double.compare(why.score(b), why.score(a)))
        .limit(CLASSES)
        .forEach(
            c ->
                rows.add(
                    List.of(
                        why.labels().get(c),
                        "%.3f".formatted(why.score(c)),
                        "%.3f".formatted(why.base(c)),
                        "%+.3f".formatted(why.terms(c)),
                        "%.1e".formatted(why.rest(c)))));
    return new Block.Table(
        List.of("class", "score", "starting point", "training images", "missing"), rows);
  }

  private static Tile photo(Explanation why) throws IOException {
    List<String> lines = new ArrayList<>();
    lines.add("answer: " + why.labels().get(why.predicted()));
    lines.add("score %.3f".formatted(why.score(why.predicted())));
    if (why.asked() != why.predicted()) {
      lines.add("asked about: " + why.labels().get(why.asked()));
      lines.add("score %.3f".formatted(why.score(why.asked())));
    }
    return new Tile(Thumbnail.of(why.image()), name(why.image()), lines, Tile.Tone.PLAIN);
  }

  private List<Tile> tiles(Explanation why, List<Integer> images, Tile.Tone tone)
      throws IOException {
    List<Tile> tiles = new ArrayList<>();
    for (int i : images) {
      List<String> lines = new ArrayList<>();
      lines.add("adds %+.4f".formatted(why.term(i)));
      Influence by = why.influence();
      if (by != null) {
        int answer = why.answerWithout(by, i);
        lines.add(
            "without it %.3f%s"
                .formatted(
                    why.without(by, i),
                    answer == why.predicted() ? "" : ", answer " + why.labels().get(answer)));
      } else if (why.estimates() != null) {
        lines.add(why.withoutIt(i));
      }
      ImageFile file = training.get(i);
      tiles.add(new Tile(Thumbnail.of(file.path()), file.relativeName(), lines, tone));
    }
    return tiles;
  }

  ContactSheet sheet(Explanation why, int columns) throws IOException {
    String asked = why.labels().get(why.asked());
    return new ContactSheet(
        List.of(
            new ContactSheet.Row(
                "%s: %s, score %.3f".formatted(name(why.image()), asked, why.score(why.asked())),
                List.of(photo(why))),
            new ContactSheet.Row(
                "add most to the score", tiles(why, why.supporting(columns), Tile.Tone.GOOD)),
            new ContactSheet.Row(
                "take most from it", tiles(why, why.opposing(columns), Tile.Tone.BAD))));
  }

  private static String name(Path file) {
    Path name = file.getFileName();
    return name == null ? file.toString() : name.toString();
  }
}
