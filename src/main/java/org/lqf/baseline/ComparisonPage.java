package org.lqf.baseline;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.lqf.image.ImageFolder;
import org.lqf.model.AtomicFile;
import org.lqf.model.LinearisedModel;
import org.lqf.report.BarPlot;
import org.lqf.report.Block;
import org.lqf.report.LinePlot;
import org.lqf.report.Page;
import org.lqf.report.Plot;
import org.lqf.report.PlotImage;

/** The runs of a comparison for people: tables, plots, and what is needed to run it again. */
public final class ComparisonPage {

  /** Curves of a plot; the ablation has its own. */
  private static final List<Method> CURVES =
      List.of(Method.LQF, Method.NLFT, Method.PROBE, Method.NLFT_MSE);

  /** What the plot over all networks and data sets shows. */
  private static final List<Method> MEANS = List.of(Method.LQF, Method.NLFT, Method.PROBE);

  /** A data set and a network. */
  private record Pair(String dataset, String backbone) {
    static Pair of(Run.Cell cell) {
      return new Pair(cell.dataset(), cell.backbone());
    }

    @Override
    public String toString() {
      return dataset + ", " + backbone;
    }
  }

  private final Comparison comparison;
  private final Map<Run.Cell, Summary> cells = new LinkedHashMap<>();
  private final List<Pair> pairs;
  private final List<Integer> shots; // ascending, all last

  private ComparisonPage(Comparison comparison, List<Run> runs) {
    this.comparison = comparison;
    Summary.of(runs).forEach(each -> cells.put(each.cell(), each));
    this.pairs = cells.keySet().stream().map(Pair::of).distinct().toList();
    this.shots =
        cells.keySet().stream()
            .sorted(Comparator.comparing(Run.Cell::order))
            .map(Run.Cell::shots)
            .distinct()
            .toList();
  }

  private @Nullable Summary get(Pair pair, int count, Method method) {
    return cells.get(new Run.Cell(pair.dataset, pair.backbone, count, method));
  }

  /**
   * Writes {@code compare.html}, {@code errors} (error against shots) and {@code ablation-…} as SVG
   * and PNG, the latter for each data set and number of shots that has all eight combinations.
   *
   * @param command that made the runs, as it was given
   * @param engine what it ran on
   * @return the files
   */
  public static List<Path> write(
      Path folder, Comparison comparison, List<Run> runs, String command, String engine)
      throws IOException {
    ComparisonPage page = new ComparisonPage(comparison, runs);
    List<Path> written = new ArrayList<>();
    written.add(folder.resolve("compare.csv"));
    List<Page.Section> sections = new ArrayList<>();
    sections.add(new Page.Section("Test errors", List.of(page.table())));
    sections.add(new Page.Section("Error against shots", page.plots()));
    LinePlot means = page.meanErrors();
    if (means != null) {
      written.addAll(pictures(folder, "errors", means));
    }
    List<Block> ablations = new ArrayList<>();
    for (Map.Entry<String, BarPlot> each : page.ablations().entrySet()) {
      ablations.add(new Block.Picture(each.getValue(), "Ablation: " + each.getKey()));
      String name = "ablation-" + each.getKey().replaceAll("[^A-Za-z0-9.-]+", "-");
      written.addAll(pictures(folder, name, each.getValue()));
    }
    if (!ablations.isEmpty()) {
      sections.add(new Page.Section("Ablation", ablations));
    }
    sections.add(new Page.Section("To run it again", page.provenance(command, engine)));
    Path file = folder.resolve("compare.html");
    new Page(
            "LQF and its baselines",
            "Mean error on the test images, in percent, ± standard deviation over the seeds."
                + " Each seed draws other training images and another order of them.",
            sections)
        .write(file);
    written.add(file);
    return written;
  }

  private static List<Path> pictures(Path folder, String name, Plot plot) throws IOException {
    Path svg = folder.resolve(name + ".svg");
    Path png = folder.resolve(name + ".png");
    ByteBuffer bytes = ByteBuffer.wrap(plot.svg().getBytes(StandardCharsets.UTF_8));
    AtomicFile.write(svg, channel -> AtomicFile.writeFully(channel, bytes));
    PlotImage.write(plot, png);
    return List.of(svg, png);
  }

  /** Methods down, shots across. */
  private Block table() {
    List<String> columns = new ArrayList<>(List.of("images", "network", "method"));
    for (int count : shots) {
      columns.add((count == Shots.ALL ? "all" : Integer.toString(count)) + " shots (seeds)");
    }
    List<List<String>> rows = new ArrayList<>();
    for (Pair pair : pairs) {
      for (Method method : Method.values()) {
        List<String> row = new ArrayList<>(List.of(pair.dataset, pair.backbone, method.text()));
        for (int count : shots) {
          Summary each = get(pair, count, method);
          row.add(each == null ? "" : each.text());
        }
        if (row.stream().skip(3).anyMatch(text -> !text.isEmpty())) {
          rows.add(row);
        }
      }
    }
    return new Block.Table(columns, rows);
  }

  /** A plot for each data set and network; all images are drawn at their mean number in a class. */
  private List<Block> plots() {
    List<Block> blocks = new ArrayList<>();
    for (Pair pair : pairs) {
      List<LinePlot.Curve> curves = new ArrayList<>();
      for (Method method : CURVES) {
        Map<Double, Double> points = new TreeMap<>();
        for (int count : shots) {
          Summary each = get(pair, count, method);
          double place = count == Shots.ALL ? perClass(pair) : count;
          if (each != null && Double.isFinite(place)) {
            points.put(place, 100 * each.error());
          }
        }
        add(curves, method, points);
      }
      if (!curves.isEmpty()) {
        blocks.add(new Block.Text(pair.toString()));
        blocks.add(new Block.Picture(plot(curves), "Error against shots: " + pair));
      }
    }
    return blocks;
  }

  private double perClass(Pair pair) {
    return comparison.images().stream()
        .filter(images -> images.name().equals(pair.dataset))
        .mapToDouble(images -> images.train().size() / (double) images.train().classes().size())
        .findFirst()
        .orElse(Double.NaN); // of another comparison in the same folder
  }

  /** Means over the data sets and networks that have all three methods at a number of shots. */
  private @Nullable LinePlot meanErrors() {
    List<LinePlot.Curve> curves = new ArrayList<>();
    for (Method method : MEANS) {
      Map<Double, Double> points = new TreeMap<>();
      for (int count : shots) {
        double[] errors =
            pairs.stream()
                .filter(pair -> MEANS.stream().allMatch(each -> get(pair, count, each) != null))
                .map(pair -> Objects.requireNonNull(get(pair, count, method)))
                .mapToDouble(Summary::error)
                .toArray();
        if (errors.length > 0 && count != Shots.ALL) {
          points.put((double) count, 100 * Arrays.stream(errors).average().orElseThrow());
        }
      }
      add(curves, method, points);
    }
    return curves.isEmpty() ? null : plot(curves);
  }

  private static void add(List<LinePlot.Curve> curves, Method method, Map<Double, Double> points) {
    if (!points.isEmpty()) {
      double[] x = points.keySet().stream().mapToDouble(Double::doubleValue).toArray();
      double[] y = points.values().stream().mapToDouble(Double::doubleValue).toArray();
      curves.add(new LinePlot.Curve(method.text(), x, y));
    }
  }

  private static LinePlot plot(List<LinePlot.Curve> curves) {
    return new LinePlot(
        new LinePlot.Axis("training images of each class", true),
        new LinePlot.Axis("test error, %", false),
        curves,
        List.of());
  }

  /** Bars for each data set and number of shots that has all eight combinations. */
  private Map<String, BarPlot> ablations() {
    Map<String, BarPlot> plots = new LinkedHashMap<>();
    for (String dataset : pairs.stream().map(Pair::dataset).distinct().toList()) {
      for (int count : shots) {
        List<Summary> found =
            cells.values().stream()
                .filter(each -> each.cell().dataset().equals(dataset))
                .filter(each -> each.cell().shots() == count)
                .filter(each -> Method.ABLATION.contains(each.cell().method()))
                .sorted(Comparator.comparing(each -> each.cell().method()))
                .toList();
        if (found.stream().map(each -> each.cell().method()).distinct().count()
            == Method.ABLATION.size()) {
          List<BarPlot.Bar> bars = new ArrayList<>();
          for (Summary each : found) {
            bars.add(
                new BarPlot.Bar(each.cell().method().text(), 100 * each.error(), 100 * each.std()));
          }
          String heading = "%s, %s shots".formatted(dataset, found.get(0).cell().shotsText());
          plots.put(heading, new BarPlot("test error, %: " + heading, bars));
        }
      }
    }
    return plots;
  }

  private List<Block> provenance(String command, String engine) throws IOException {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("command", command));
    rows.add(List.of("lqf", LinearisedModel.VERSION));
    rows.add(List.of("engine", engine));
    rows.add(List.of("recipe", comparison.recipe().describe()));
    for (Comparison.Network network : comparison.networks()) {
      rows.add(List.of("network " + network.name(), "digest " + network.backbone().digest()));
    }
    for (Comparison.Images images : comparison.images()) {
      rows.add(List.of("images " + images.name() + "/train", described(images.train())));
      rows.add(List.of("images " + images.name() + "/test", described(images.test())));
    }
    return List.of(
        new Block.Table(List.of("", ""), rows),
        new Block.Text(
            "runs.csv has every training with its seed, hyper-parameter and validation error."
                + " The same command finds them there; in an empty folder it makes them anew."));
  }

  private static String described(ImageFolder images) throws IOException {
    return "%d images of %d classes, digest %s"
        .formatted(images.size(), images.classes().size(), images.digest());
  }
}
