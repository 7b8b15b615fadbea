package org.lqf.baseline;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.lqf.report.CsvFile;

/**
 * The runs of a comparison on disk: {@code runs.csv}, from which a broken comparison goes on, and
 * {@code compare.csv}, its summary. Both are replaced as a whole after each run.
 */
final class RunFile {

  private static final List<String> RUNS =
      List.of(
          "dataset",
          "backbone",
          "shots",
          "method",
          "seed",
          "setting",
          "validation_error",
          "error",
          "seconds",
          "recipe");
  private static final List<String> SUMMARY =
      List.of("dataset", "backbone", "shots", "method", "error", "std", "seeds", "seconds");

  private final Path folder;
  private final String recipe;
  private final List<Run> runs = new ArrayList<>();

  /**
   * Takes up the runs that are there.
   *
   * @throws IOException if they were made by another recipe, or the file is no such table
   */
  RunFile(Path folder, Recipe recipe) throws IOException {
    this.folder = folder;
    this.recipe = recipe.describe();
    Path file = folder.resolve("runs.csv");
    if (!Files.exists(file)) {
      return;
    }
    for (Map<String, String> row : CsvFile.read(file)) {
      try {
        String made = get(row, "recipe");
        if (!made.equals(this.recipe)) {
          throw new IllegalArgumentException(
              "was made with %s, not with %s; give another --out or the same options"
                  .formatted(made, this.recipe));
        }
        runs.add(run(row));
      } catch (IllegalArgumentException e) {
        throw new IOException("%s: %s".formatted(file, e.getMessage()), e);
      }
    }
  }

  private static String get(Map<String, String> row, String name) {
    String field = row.get(name);
    if (field == null) {
      throw new IllegalArgumentException("expected a column \"%s\"".formatted(name));
    }
    return field;
  }

  private static Run run(Map<String, String> row) {
    String shots = get(row, "shots");
    Run.Cell cell =
        new Run.Cell(
            get(row, "dataset"),
            get(row, "backbone"),
            shots.equals("all") ? Shots.ALL : Integer.parseInt(shots),
            Method.of(get(row, "method")));
    return new Run(
        cell,
        Long.parseLong(get(row, "seed")),
        Double.parseDouble(get(row, "setting")),
        Double.parseDouble(get(row, "validation_error")),
        Double.parseDouble(get(row, "error")),
        Double.parseDouble(get(row, "seconds")));
  }

  List<Run> runs() {
    return List.copyOf(runs);
  }

  /** Those of a cell. */
  List<Run> runs(Run.Cell cell) {
    return runs.stream().filter(run -> run.cell().equals(cell)).toList();
  }

  void add(Run run) throws IOException {
    runs.add(run);
    List<List<String>> rows = new ArrayList<>();
    for (Run each : runs) {
      List<String> row = new ArrayList<>(names(each.cell()));
      row.add(Long.toString(each.seed()));
      row.add(Double.toString(each.setting()));
      row.add(Double.toString(each.validationError()));
      row.add(number("%.5f", each.error()));
      row.add(number("%.2f", each.seconds()));
      row.add(recipe);
      rows.add(row);
    }
    CsvFile.write(folder.resolve("runs.csv"), RUNS, rows);
    List<List<String>> lines = new ArrayList<>();
    for (Summary each : Summary.of(runs)) {
      List<String> line = new ArrayList<>(names(each.cell()));
      line.add(number("%.5f", each.error()));
      line.add(number("%.5f", each.std()));
      line.add(Integer.toString(each.seeds()));
      line.add(number("%.2f", each.seconds()));
      lines.add(line);
    }
    CsvFile.write(folder.resolve("compare.csv"), SUMMARY, lines);
  }

  private static List<String> names(Run.Cell cell) {
    return List.of(cell.dataset(), cell.backbone(), cell.shotsText(), cell.method().text());
  }

  private static String number(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }
}
