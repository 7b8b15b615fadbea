package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lqf.testing.TinyData;

/** {@code kill -9} in the middle of {@code lqf tune}, as a process of its own. */
class KillAndResumeTest {

  private static final long PATIENCE_SECONDS = 120;

  @TempDir static Path shared;
  static Path data;

  @TempDir Path folder;

  @BeforeAll
  static void writeImages() throws IOException {
    data = TinyData.write(shared, 20, 1);
  }

  @ParameterizedTest
  @CsvSource({
    "cg, --tolerance=1e-3 --iterations=60",
    "cg-kfac, --iterations=6",
    "sgd-kfac, --epochs=6 --augment",
  })
  void resumedRunsGiveTheFileOfAnUninterruptedOne(String solver, String options)
      throws IOException, InterruptedException {
    Path whole = folder.resolve("whole.lqf");
    List<String> arguments = new ArrayList<>(List.of("--solver", solver, "--seed", "5"));
    arguments.addAll(List.of(options.split(" ")));
    List<Object> uninterrupted = new ArrayList<>(arguments);
    uninterrupted.addAll(List.of("--out", whole));
    Cli.tune(data, uninterrupted.toArray()).succeeded();

    Path out = folder.resolve("killed.lqf");
    Path log = folder.resolve("log");
    for (int kill = 1; kill <= 2; kill++) {
      runUntilCheckpoint(out, log, arguments);
    }
    Process last = start(out, log, arguments);
    assertTrue(last.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS));
    String said = Files.readString(log);
    assertEquals(0, last.exitValue(), said);
    assertTrue(said.contains("lqf: going on after iteration 2"), said);
    assertArrayEquals(Files.readAllBytes(whole), Files.readAllBytes(out));
    assertFalse(Files.exists(folder.resolve("killed.lqf.checkpoint")));
  }

  @Test
  void aCheckpointOfOtherOptionsIsRefused() throws IOException, InterruptedException {
    Path out = folder.resolve("killed.lqf");
    Path log = folder.resolve("log");
    runUntilCheckpoint(out, log, List.of("--solver", "cg"));
    Cli run = Cli.tune(data, "--out", out, "--resume", "--solver", "cg", "--target-scale", 3);
    assertEquals(1, run.code());
    assertTrue(run.err().contains("belongs to another training"), run.err());
    assertEquals(1, run.err().lines().count());
    assertTrue(Files.exists(folder.resolve("killed.lqf.checkpoint")));
  }

  /** Kills the process as soon as it has stored a state. */
  private void runUntilCheckpoint(Path out, Path log, List<String> arguments)
      throws IOException, InterruptedException {
    try (WatchService watch = FileSystems.getDefault().newWatchService()) {
      WatchKey unused = folder.register(watch, StandardWatchEventKinds.ENTRY_CREATE);
      Process process = start(out, log, arguments);
      try {
        awaitFile(watch, out.getFileName() + ".checkpoint", log);
      } finally {
        process.destroyForcibly();
      }
      assertTrue(process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS));
      assertNotEquals(0, process.exitValue(), "it ended before it was killed");
      assertFalse(Files.exists(out));
    }
  }

  /** A rename to this name counts, whether or not a file of this name was there before. */
  private static void awaitFile(WatchService watch, String name, Path log)
      throws IOException, InterruptedException {
    while (true) {
      WatchKey key = watch.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
      assertNotNull(key, () -> "no checkpoint came; stderr is in " + log);
      for (WatchEvent<?> event : key.pollEvents()) {
        if (String.valueOf(event.context()).equals(name)) {
          return;
        }
      }
      assertTrue(key.reset());
    }
  }

  private Process start(Path out, Path log, List<String> arguments) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add("org.lqf.cli.Main");
    command.addAll(List.of("tune", "--backbone", TinyData.network().toString()));
    command.addAll(List.of("--data", data.toString(), "--out", out.toString(), "--resume"));
    command.addAll(arguments);
    return new ProcessBuilder(command)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(log.toFile())
        .start();
  }
}
