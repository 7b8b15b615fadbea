package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.explain.Audit;
import org.lqf.model.LinearisedModel;
import org.lqf.report.Block;
import org.lqf.report.Page;
import org.lqf.report.Thumbnail;
import org.lqf.report.Tile;
import org.lqf.testing.Browser;
import org.lqf.testing.TinyData;

/** explain and audit on one model, 200 real images of which a twentieth is labelled wrongly. */
class ExplainAndAuditTest {

  private static final int PER_CLASS = 40;
  private static final double WRONG = 0.05;
  private static final String HOSTILE = "<img src=x onerror=alert(1)>&\"'</title><script>.png";

  /** What a page is asked once it is there. */
  private static final String QUESTIONS =
      """
      ({
        images: document.images.length,
        broken: [...document.images].filter(i => !i.complete || i.naturalWidth === 0).length,
        unnamed: [...document.images].filter(i => !i.alt).length,
        scripts: document.scripts.length,
        handlers: document.querySelectorAll('[onerror]').length,
        plots: document.querySelectorAll('svg polyline').length,
        deadLinks: [...document.links].filter(a => !document.querySelector(a.hash)).length,
        wide: document.documentElement.scrollWidth > innerWidth,
        text: document.body.innerText
      })""";

  @TempDir static Path folder;
  static Path model;
  static Path train;
  static Path photo;
  static Set<String> flipped = new HashSet<>();
  static Cli audited;
  static JsonNode audit;
  static Cli explained;
  static JsonNode explanation;

  @BeforeAll
  static void run() throws IOException {
    Path data = TinyData.write(folder.resolve("data"), PER_CLASS, 60);
    train = data.resolve("train");
    flip();
    Files.copy(train.resolve("bag/000.png"), train.resolve("shirt/copy.png"));
    flipped.add("shirt/copy.png");
    photo =
        Files.copy(data.resolve("test/sneaker/003.png"), folder.resolve(HOSTILE.replace("/", "")));
    model = folder.resolve("tiny.lqf");
    Cli.tune(train, "--solver", "gram", "--out", model).succeeded();
    audited =
        Cli.run(
                "audit",
                model,
                "--data",
                train,
                "--test",
                data.resolve("test"),
                "--quiet",
                "--out",
                folder.resolve("audit"),
                "--metrics-json",
                folder.resolve("audit.json"),
                "--reweighted",
                folder.resolve("better.lqf"))
            .succeeded();
    audit = Cli.read(Files.readString(folder.resolve("audit.json")));
    explained =
        Cli.run(
                "explain",
                model,
                photo,
                "--data",
                train,
                "--quiet",
                "--top",
                5,
                "--out",
                folder.resolve("why"),
                "--metrics-json",
                folder.resolve("why.json"))
            .succeeded();
    explanation = Cli.read(Files.readString(folder.resolve("why.json"))).get("explanations").get(0);
  }

  /** Moves a twentieth of the images into a wrong folder, one under a hostile name. */
  private static void flip() throws IOException {
    SplittableRandom random = new SplittableRandom(5);
    int all = PER_CLASS * TinyData.CLASSES.size();
    List<Integer> drawn =
        random.ints(0, all).distinct().limit((long) (WRONG * all)).boxed().toList();
    for (int image : drawn) {
      int label = image / PER_CLASS;
      int other =
          (label + 1 + random.nextInt(TinyData.CLASSES.size() - 1)) % TinyData.CLASSES.size();
      String from = "%s/%03d.png".formatted(TinyData.CLASSES.get(label), image % PER_CLASS);
      String name = flipped.isEmpty() ? HOSTILE.replace("/", "") : from.replace('/', '-');
      String to = TinyData.CLASSES.get(other) + "/" + name;
      Files.move(train.resolve(from), train.resolve(to));
      flipped.add(to);
    }
  }

  private static List<String> lines(String file) throws IOException {
    return Files.readAllLines(folder.resolve(file));
  }

  @Test
  void removalsCanBeEstimatedWithoutAGramMatrix() throws IOException {
    Cli run =
        Cli.run(
                "explain",
                model,
                photo,
                "--data",
                train,
                "--quiet",
                "--estimate-removals",
                "--out",
                folder.resolve("about"),
                "--metrics-json",
                folder.resolve("about.json"))
            .succeeded();
    assertTrue(run.out().contains(", without it about "), run.out());
    JsonNode term =
        Cli.read(Files.readString(folder.resolve("about.json")))
            .get("explanations")
            .get(0)
            .get("supporting")
            .get(0);
    JsonNode exact = explanation.get("supporting").get(0);
    assertEquals(exact.get("image"), term.get("image"));
    double score = explanation.get("score").asDouble();
    double effect = exact.get("scoreWithout").asDouble() - score;
    double estimated = term.get("estimatedScoreWithout").asDouble() - score;
    assertTrue(effect * estimated > 0, effect + " against " + estimated);
  }

  @Test
  void aModelThatWeightsItsImagesIsNoneToAskAboutThem() {
    Path better = folder.resolve("better.lqf");
    String reason = "this model counts some training images more than others";
    Cli audit = Cli.run("audit", better, "--data", train, "--quiet", "--out", folder.resolve("no"));
    assertTrue(audit.code() == 1 && audit.err().contains(reason), audit.err());
    Cli forget = Cli.run("forget", better, "--data", train, "--remove", "bag/001.png");
    assertTrue(forget.code() == 1 && forget.err().contains(reason), forget.err());
    Path out = folder.resolve("merged.lqf");
    Cli merge = Cli.run("merge", better, better, "--data", train, "--out", out);
    assertTrue(merge.code() == 1 && merge.err().contains(reason), merge.err());
    Cli.run("evaluate", better, "--data", folder.resolve("data/test"), "--quiet").succeeded();
  }

  @Test
  void theAuditRanksWrongLabelsFirst() throws IOException {
    List<NamedCsvRecord> rows;
    try (CsvReader<NamedCsvRecord> csv =
        CsvReader.builder().ofNamedCsvRecord(folder.resolve("audit/audit.csv"))) {
      rows = csv.stream().toList();
    }
    assertEquals(AuditPage.COLUMNS, rows.get(0).getHeader());
    assertEquals(PER_CLASS * TinyData.CLASSES.size() + 1, rows.size());
    boolean[] wrong = new boolean[rows.size()];
    Integer[] ranking = new Integer[rows.size()];
    for (int i = 0; i < wrong.length; i++) {
      wrong[i] = flipped.contains(rows.get(i).getField("image"));
      ranking[Integer.parseInt(rows.get(i).getField("suspectRank")) - 1] = i;
    }
    assertEquals(flipped.size(), IntStream.range(0, wrong.length).filter(i -> wrong[i]).count());
    double area = Audit.areaUnderCurve(List.of(ranking), wrong);
    assertTrue(area >= 0.9, "area under the curve " + area);
  }

  @Test
  void theAuditFindsThePictureUnderTwoLabels() {
    List<String> pairs = new ArrayList<>();
    for (JsonNode pair : audit.get("alikeUnderDifferentLabels")) {
      pairs.add(pair.get("image").textValue() + " " + pair.get("other").textValue());
    }
    assertTrue(pairs.contains("bag/000.png shirt/copy.png"), pairs::toString);
  }

  @Test
  void theAuditSaysWhichRidgeIsBest() throws IOException {
    JsonNode path = audit.get("ridgePath");
    assertEquals(path.size() + 1, lines("audit/ridge.csv").size());
    double least = Double.POSITIVE_INFINITY;
    for (JsonNode point : path) {
      least = Math.min(least, point.get("looLoss").doubleValue());
      if (point.get("ridge").doubleValue() == audit.get("chosenRidge").doubleValue()) {
        assertTrue(point.get("looLoss").doubleValue() == least);
      }
    }
    JsonNode own = path.get(path.size() / 2);
    assertEquals(audit.get("ridge").doubleValue(), own.get("ridge").doubleValue(), 1e-9);
    double loss = audit.get("looLoss").doubleValue();
    assertEquals(loss, own.get("looLoss").doubleValue(), 1e-7 * loss);
    assertEquals(audit.get("looAccuracy"), own.get("looAccuracy"));
    assertTrue(audited.out().contains("To use the first: lqf tune --ridge "), audited.out());
  }

  @Test
  void theReweightedModelIsAModelOfOtherData() throws IOException {
    LinearisedModel before = LinearisedModel.read(model);
    LinearisedModel after = LinearisedModel.read(folder.resolve("better.lqf"));
    assertFalse(before.origin().dataDigest().equals(after.origin().dataDigest()));
    assertTrue(
        audit.get("judgedLossAfter").doubleValue() < audit.get("judgedLossBefore").doubleValue());
    Cli.run("predict", folder.resolve("better.lqf"), photo).succeeded();
  }

  @Test
  void theTermsSumToThePrediction() throws IOException {
    double score = explanation.get("score").doubleValue();
    double sum = explanation.get("base").doubleValue() + explanation.get("terms").doubleValue();
    assertEquals(score, sum, 1e-4);
    assertTrue(explanation.get("relativeSumError").doubleValue() < Explanation.ROUNDING);
    JsonNode predicted = Cli.run("predict", model, photo, "--json").succeeded().json().get(0);
    assertEquals(predicted.get("score").doubleValue(), score, 1e-4);
    assertEquals(predicted.get("label"), explanation.get("label"));
    assertTrue(explained.out().contains("training images = %.4f".formatted(sum)), explained.out());
    assertEquals(5, explanation.get("supporting").size());
    double first = explanation.get("supporting").get(0).get("term").doubleValue();
    assertTrue(first >= explanation.get("supporting").get(1).get("term").doubleValue());
    assertTrue(explanation.get("opposing").get(0).get("term").doubleValue() < 0);
    assertTrue(explanation.get("supporting").get(0).get("scoreWithout").isNumber());
  }

  @Test
  void anotherClassCanBeAskedForWithoutRemovals() throws IOException {
    Path json = folder.resolve("other.json");
    Cli.run(
            "explain",
            model,
            photo,
            "--data",
            train,
            "--quiet",
            "--class",
            "bag",
            "--no-removals",
            "--out",
            folder.resolve("other"),
            "--metrics-json",
            json)
        .succeeded();
    JsonNode other = Cli.read(Files.readString(json)).get("explanations").get(0);
    assertEquals("bag", other.get("explained").textValue());
    assertEquals(explanation.get("label"), other.get("label"));
    assertTrue(other.get("decisive").isNull());
    assertTrue(other.get("supporting").get(0).get("scoreWithout").isNull());
    Cli.run("explain", model, photo, "--data", train, "--quiet", "--class", "cat")
        .failed(
            1, "the model knows no class \"cat\"; it has ankle-boot, bag, sandal, shirt, sneaker");
  }

  @Test
  void theContactSheetIsAPicture() throws IOException {
    var sheet = ImageIO.read(folder.resolve("why/explain.png").toFile());
    assertTrue(sheet.getWidth() > 5 * Thumbnail.SIDE && sheet.getHeight() > 3 * Thumbnail.SIDE);
    Set<Integer> colours = new HashSet<>();
    for (int y = 0; y < sheet.getHeight(); y++) {
      for (int x = 0; x < sheet.getWidth(); x++) {
        colours.add(sheet.getRGB(x, y) & 0xffffff);
      }
    }
    assertTrue(colours.contains(0x1a7f37) && colours.contains(0xc62834), "edges of both kinds");
    assertTrue(colours.size() > 50, "photographs have many greys, got " + colours.size());
  }

  @Test
  void impossibleOptionsAreRefused() {
    Cli.run("audit", model, "--data", train, "--reweighted", "x.lqf")
        .failed(
            2, "--reweighted needs --test, whose images give the weights; see lqf audit --help");
    Cli.run("audit", model, "--data", train, "--alike", 2)
        .failed(2, "--alike must lie above 0 and at most at 1, got 2.0; see lqf audit --help");
    Cli.run("explain", model, photo, "--data", train, "--top", 0)
        .failed(2, "--top must be at least 1, got 0; see lqf explain --help");
  }

  @Test
  void thePagesOpenInARealBrowser() throws IOException {
    Path large = folder.resolve("large.html");
    Thumbnail thumbnail = Thumbnail.of(train.resolve("bag/000.png"));
    List<Tile> tiles =
        IntStream.range(0, 1000)
            .mapToObj(i -> new Tile(thumbnail, "n" + i, List.of(HOSTILE), Tile.Tone.PLAIN))
            .toList();
    new Page(HOSTILE, HOSTILE, List.of(new Page.Section(HOSTILE, List.of(new Block.Tiles(tiles)))))
        .write(large);
    try (Browser browser = Browser.open()) {
      JsonNode page = check(browser, folder.resolve("audit/audit.html"));
      assertTrue(page.get("images").intValue() > 40, page::toString);
      assertEquals(4, page.get("plots").intValue());
      assertTrue(page.get("text").textValue().contains(HOSTILE.replace("/", "")));
      page = check(browser, folder.resolve("why/explain.html"));
      assertTrue(page.get("images").intValue() >= 11, page::toString);
      assertTrue(page.get("text").textValue().contains(HOSTILE.replace("/", "")));
      page = check(browser, large);
      assertEquals(1000, page.get("images").intValue());
    }
  }

  private static JsonNode check(Browser browser, Path file) throws IOException {
    Browser.Visit visit = browser.visit(file, QUESTIONS);
    assertEquals(List.of(), visit.complaints());
    for (String address : visit.requests()) {
      assertTrue(
          address.equals(file.toUri().toString()) || address.startsWith("data:"),
          () -> file + " loads " + address);
    }
    JsonNode page = visit.result();
    for (String fault : List.of("broken", "unnamed", "scripts", "handlers", "deadLinks")) {
      assertEquals(0, page.get(fault).intValue(), fault);
    }
    assertFalse(page.get("wide").booleanValue(), "it must not scroll sideways");
    return page;
  }
}
