package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lqf.testing.TinyData;

/** Predictions of memory against what processes of their own came to hold. */
class PlanCommandTest {

  private static final double TOLERANCE = 0.2;

  @TempDir private Path directory;

  @Test
  void everyStageHasSecondsAndMemory() throws IOException {
    Path data = TinyData.write(directory.resolve("images"), 3, 1);
    Cli plan =
        Cli.run("plan", "--backbone", TinyData.network(), "--data", data, "--solver", "cg-kfac")
            .succeeded();
    for (String stage :
        List.of("reading images", "linear probe", "ridge", "Kronecker factors", "solving by")) {
      Matcher line = Pattern.compile(stage + ".* +([0-9.]+) +([0-9]+) MB").matcher(plan.out());
      assertTrue(line.find(), plan::out);
      assertTrue(Integer.parseInt(line.group(2)) > 0, plan::out);
    }
    assertTrue(plan.out().contains("cg-kfac (asked for)"), plan::out);
  }

  @Test
  void aBudgetThatIsTooSmallSaysWhatWouldDo() throws IOException {
    Path data = TinyData.write(directory.resolve("images"), 3, 1);
    Cli plan = Cli.run("plan", "--backbone", TinyData.network(), "--data", data, "--memory", "1m");
    assertEquals(1, plan.code()); // as tune: it is no misuse of options
    assertTrue(
        plan.err().matches("(?s).*solver cg needs at least [0-9]+ MB, with 1 image at a time.*"),
        plan::err);
    assertTrue(plan.err().contains("the memory allowed is 1 MB"), plan::err);
    Cli tune = Cli.run("tune", "--backbone", TinyData.network(), "--data", data, "--memory", "1m");
    assertEquals(1, tune.code());
    assertTrue(tune.err().contains("needs at least"), tune::err);
  }

  /** The shipped pair, where activations outweigh the JVM; one iteration holds as much as all. */
  @ParameterizedTest
  @CsvSource({"cg, 40, ''", "cg, 40, 330m", "gram, 10, 600m", "sgd-kfac, 20, ''"})
  void peakMemoryIsAsPlanned(String solver, int perClass, String memory) throws Exception {
    Path file = directory.resolve("metrics.json");
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0", // these two as the script lqf
                "-XX:InitialHeapSize=64m",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "tune",
                "--backbone",
                "test-data/resnet20-leaky0.1-own/resnet20-leaky0.1-own.json",
                "--data",
                "test-data/fashion10/train",
                "--limit-per-class",
                Integer.toString(perClass),
                "--solver",
                solver,
                "--iterations",
                "1",
                "--epochs",
                "1",
                "--metrics-json",
                file.toString()));
    if (!memory.isEmpty()) {
      command.addAll(List.of("--memory", memory));
    }
    Path log = directory.resolve("log");
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(new File(log.toString()))
            .start();
    assertEquals(0, process.waitFor(), () -> read(log));
    JsonNode metrics = Cli.read(Files.readString(file));
    double planned = metrics.get("plannedPeakMemoryBytes").asDouble();
    double peak = metrics.get("peakMemoryBytes").asDouble();
    assertEquals(
        1,
        peak / planned,
        TOLERANCE,
        "peak %.0f MB, planned %.0f MB".formatted(peak / 1e6, planned / 1e6));
    if (!memory.isEmpty()) {
      assertTrue(peak <= ByteSize.parse(memory).bytes(), "peak %.0f MB".formatted(peak / 1e6));
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      return e.toString();
    }
  }
}
