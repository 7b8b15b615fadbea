package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lqf.report.CsvFile;
import org.lqf.testing.TinyData;

class CompareCommandTest {

  @TempDir static Path shared;
  static Path data;
  static Path relu;

  @TempDir Path folder;

  @BeforeAll
  static void writeImagesAndTheReluTwin() throws IOException {
    data = TinyData.write(shared.resolve("fashion"), 6, 8);
    Path network = TinyData.copyNetwork(shared.resolve("network"));
    String slopes = "\"negative_slope\": *[0-9.e-]+";
    relu = network.resolveSibling("relu.json");
    String graph = Files.readString(network);
    Files.writeString(relu, graph.replaceAll(slopes, "\"negative_slope\": 0.0"));
  }

  private static Cli compare(Path out, Object... more) {
    List<Object> arguments = new ArrayList<>(List.of("compare", "--data", data, "--out", out));
    arguments.addAll(List.of("--backbone", TinyData.network(), "--quiet", "--steps", 4));
    arguments.addAll(Arrays.asList(more));
    return Cli.run(arguments.toArray());
  }

  private static double error(List<Map<String, String>> rows, String method, String shots) {
    return rows.stream()
        .filter(row -> row.get("method").equals(method) && row.get("shots").equals(shots))
        .mapToDouble(row -> Double.parseDouble(row.get("error")))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void comparesAllMethodsAndWritesTablesAndPlots() throws IOException {
    Cli result =
        compare(
            folder,
            "--backbone",
            relu,
            "--shots",
            "2,all",
            "--seeds",
            1,
            "--budget",
            1,
            "--methods",
            "lqf,nlft,nlft-mse,probe,ablation");
    assertEquals("", result.err());
    List<Map<String, String>> rows = CsvFile.read(folder.resolve("compare.csv"));
    assertEquals(2 * 2 * 4 + 2 * 8, rows.size(), rows.toString());
    for (String method : List.of("lqf", "nlft", "probe", "linear-leaky-mse-kfac")) {
      double error = error(rows, method, "all");
      assertTrue(error < 0.5, "%s: %s".formatted(method, error)); // chance is 0.8
    }
    String page = Files.readString(folder.resolve("compare.html"));
    assertTrue(page.contains("lqf compare --data"), page);
    assertTrue(page.contains("--methods lqf,nlft,nlft-mse,probe,ablation"), page);
    assertTrue(page.contains("Ablation"), page);
    assertTrue(Files.readString(folder.resolve("errors.svg")).contains(">nlft<"));
    assertTrue(
        Files.readString(folder.resolve("ablation-fashion-2-shots.svg"))
            .contains(">linear-relu-ce-sgd<"));
  }

  @Test
  void goesOnWhereItWasAndGivesTheSameErrors() throws IOException {
    Path whole = folder.resolve("whole");
    compare(whole, "--shots", "2", "--seeds", 2, "--budget", 2, "--threads", 2).succeeded();
    Path broken = folder.resolve("broken");
    Object[] first = {"--shots", "2", "--budget", 2, "--threads", 1, "--seeds"};
    compare(broken, append(first, 1, "--methods", "lqf,nlft")).succeeded();
    List<Map<String, String>> before = CsvFile.read(broken.resolve("runs.csv"));
    assertEquals(2, before.size());
    compare(broken, append(first, 2)).succeeded();
    List<Map<String, String>> after = CsvFile.read(broken.resolve("runs.csv"));
    assertEquals(before, after.subList(0, 2)); // seconds too: they were not run again
    assertEquals(errors(whole), errors(broken));
  }

  private static Object[] append(Object[] first, Object... more) {
    List<Object> all = new ArrayList<>(Arrays.asList(first));
    all.addAll(Arrays.asList(more));
    return all.toArray();
  }

  private static List<String> errors(Path folder) throws IOException {
    return CsvFile.read(folder.resolve("compare.csv")).stream()
        .map(row -> row.get("method") + " " + row.get("error") + " " + row.get("std"))
        .toList();
  }

  @Test
  void refusesToMixRecipes() {
    compare(folder, "--shots", "1", "--seeds", 1, "--methods", "probe").succeeded();
    compare(folder, "--shots", "1", "--seeds", 1, "--methods", "probe", "--budget", 3)
        .failed(
            1,
            folder.resolve("runs.csv")
                + ": was made with steps 4, batch 32, budget 4, target scale 15.0, logit scale 5.0,"
                + " not with steps 4, batch 32, budget 3, target scale 15.0, logit scale 5.0;"
                + " give another --out or the same options");
  }

  @Test
  void saysWhichMethodsAndShotsThereAre() {
    Cli method = compare(folder, "--methods", "lqf,sgd");
    assertEquals(2, method.code());
    assertTrue(method.err().contains("unknown method \"sgd\", expected ablation or"), method.err());
    Cli shots = compare(folder, "--shots", "1,none");
    assertEquals(2, shots.code());
    assertTrue(shots.err().contains("numbers from 1 on, or all, got \"none\""), shots.err());
  }
}
