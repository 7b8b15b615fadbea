package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.model.LinearisedModel;

class MainTest {

  @ParameterizedTest
  @ValueSource(
      strings = {"tune", "evaluate", "predict", "inspect", "explain", "audit", "pretrain", "adapt"})
  void everyCommandHasHelpThatEndsWithExamples(String command) {
    Cli help = Cli.run(command, "--help").succeeded();
    assertEquals(help.out(), Cli.run("help", command).succeeded().out());
    String[] parts = help.out().split("Examples:");
    assertEquals(2, parts.length, help.out());
    assertTrue(parts[1].contains("lqf " + command), help.out());
    assertTrue(help.out().lines().allMatch(line -> line.length() <= 100), help.out());
    assertTrue(!help.out().contains("${") && !help.out().contains("null"), help.out());
    assertTrue(Cli.run("help").succeeded().out().contains(command));
    assertTrue(Cli.run("--help").succeeded().out().contains(command));
  }

  @Test
  void versionIsThatOfTheModelFile() {
    assertTrue(Cli.run("--version").succeeded().out().startsWith("lqf " + LinearisedModel.VERSION));
  }

  @Test
  void withoutCommandSaysWhichThereAre() {
    Cli.run()
        .failed(
            2,
            "expected a command: tune, plan, evaluate, predict, inspect, explain, audit, compare, forget, learn, verify-forget, merge, pretrain, adapt, help; see lqf --help");
  }

  @Test
  void verboseShowsWhereAnErrorComesFrom() {
    Cli run = Cli.run("inspect", "none.lqf", "-v");
    assertEquals(1, run.code());
    assertTrue(run.err().startsWith("lqf: none.lqf: expected a model"), run.err());
    assertTrue(run.err().contains("at org.lqf.cli.ModelFile"), run.err());
  }

  @Test
  void everyKindOfFailureIsOneSentence() {
    assertEquals("x: there is no such file", sentence(new NoSuchFileException("x")));
    assertEquals("x: permission denied", sentence(new AccessDeniedException("x")));
    assertEquals("full", sentence(new UncheckedIOException(new IOException("full"))));
    assertEquals("a is wrong", sentence(new IllegalArgumentException("a is wrong")));
    assertTrue(sentence(new OutOfMemoryError("heap")).contains("LQF_JAVA_OPTS=-Xmx8g"));
    assertEquals(
        "a defect of lqf: java.lang.IllegalStateException: odd; run again with -v and report what it prints",
        sentence(new IllegalStateException("odd")));
  }

  private static String sentence(Throwable error) {
    StringWriter text = new StringWriter();
    assertEquals(1, Failures.report(error, new PrintWriter(text), false));
    assertEquals(1, text.toString().lines().count());
    assertTrue(text.toString().startsWith("lqf: "));
    return text.toString().substring("lqf: ".length()).strip();
  }

  @Test
  void aFullDiskIsSeenBeforeTheWork(@TempDir Path folder) {
    Path file = folder.resolve("x.lqf");
    String message =
        assertThrows(IOException.class, () -> OutputFile.check(file, Long.MAX_VALUE)).getMessage();
    assertTrue(
        message.matches(
            "\\Q" + file + "\\E: needs \\d+\\.\\d MB, but only \\d+\\.\\d MB are free in .*"));
  }
}
