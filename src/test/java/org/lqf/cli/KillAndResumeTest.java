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

/** {@code kill -9} in the middle of a training, as a process of its own. */
class KillAndResumeTest {

  private static final long PATIENCE_SECONDS = 120;

  @TempDir static Path shared;
  static Path data;

  @TempDir Path folder;

  @BeforeAll
  static void writeImages() throws IOException {
    data = TinyData.write(shared, 10, 1);
  }

  @ParameterizedTest
  @CsvSource({"cg, --iterations=30, 2", "sgd-kfac, --epochs=3 --augment, 1"})
  void resumedRunsGiveTheFileOfAnUninterruptedOne(String solver, String options, int kills)
      throws IOException, InterruptedException {
    List<Object> arguments = new ArrayList<>(List.of("--solver", solver, "--seed", "5"));
    arguments.addAll(List.of(options.split(" ")));
    Path whole = folder.resolve("whole.lqf");
    Cli.tune(data, with(arguments, "--out", whole)).succeeded();

    Path out = folder.resolve("killed.lqf");
    for (int kill = 1; kill <= kills; kill++) {
      runUntilCheckpoint(out, command(out, arguments));
    }
    Path checkpoint = folder.resolve("killed.lqf.checkpoint");
    byte[] state = Files.readAllBytes(checkpoint);
    Cli.tune(data, with(arguments, "--out", out, "--resume", "--target-scale", 3))
        .failed(
            1,
            checkpoint
                + " belongs to another training (other images, network or options); "
                + "give the same ones, or start without it");
    assertArrayEquals(state, Files.readAllBytes(checkpoint));

    Cli last = Cli.run(command(out, arguments).toArray());
    assertEquals(0, last.code(), last.err());
    assertTrue(last.err().contains("lqf: going on after iteration " + kills), last.err());
    assertArrayEquals(Files.readAllBytes(whole), Files.readAllBytes(out));
    assertFalse(Files.exists(checkpoint));
  }

  @Test
  void aKilledPretrainingGivesTheFilesOfAnUninterruptedOne()
      throws IOException, InterruptedException {
    Path whole = folder.resolve("whole.json");
    assertEquals(0, Cli.run(pretrain(whole, "--quiet").toArray()).code());

    Path out = folder.resolve("killed.json");
    runUntilCheckpoint(out, pretrain(out, "--resume"));
    Path checkpoint = folder.resolve("killed.json.checkpoint");
    Cli.run(pretrain(out, "--resume", "--quiet", "--weight-decay=0.1").toArray())
        .failed(
            1,
            checkpoint
                + " belongs to another training (other images, network or options); "
                + "give the same ones, or start without it");

    Cli last = Cli.run(pretrain(out, "--resume").toArray());
    assertEquals(0, last.code(), last.err());
    assertTrue(last.err().contains("lqf: going on after epoch 1"), last.err());
    assertArrayEquals(
        Files.readAllBytes(folder.resolve("whole.safetensors")),
        Files.readAllBytes(folder.resolve("killed.safetensors")));
    assertFalse(Files.exists(checkpoint));
  }

  private static List<Object> pretrain(Path out, Object... more) {
    List<Object> command = new ArrayList<>(List.of("pretrain", "--data", data, "--out", out));
    command.addAll(List.of("--arch=resnet8", "--size=16", "--batch=10", "--epochs=3"));
    command.addAll(List.of(more));
    return command;
  }

  private static Object[] with(List<Object> arguments, Object... more) {
    List<Object> all = new ArrayList<>(arguments);
    all.addAll(List.of(more));
    return all.toArray();
  }

  /** Kills the process as soon as it has stored a state. */
  private void runUntilCheckpoint(Path out, List<Object> command)
      throws IOException, InterruptedException {
    try (WatchService watch = FileSystems.getDefault().newWatchService()) {
      WatchKey unused = folder.register(watch, StandardWatchEventKinds.ENTRY_CREATE);
      Path log = folder.resolve("log");
      Process process = start(log, command);
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

  private static List<Object> command(Path out, List<Object> arguments) {
    List<Object> command = new ArrayList<>();
    command.addAll(List.of("tune", "--backbone", TinyData.network(), "--data", data));
    command.addAll(List.of("--out", out, "--resume"));
    command.addAll(arguments);
    return command;
  }

  private static Process start(Path log, List<Object> arguments) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    arguments.forEach(argument -> command.add(argument.toString()));
    return new ProcessBuilder(command)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(log.toFile())
        .start();
  }
}
