package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Arrays;
import org.lqf.testing.TinyData;

/**
 * What one command line gave.
 *
 * @param code exit code
 * @param out stdout
 * @param err stderr
 */
record Cli(int code, String out, String err) {

  /** Runs in this process; arguments are turned into text. */
  static Cli run(Object... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    String[] texts = Arrays.stream(arguments).map(Object::toString).toArray(String[]::new);
    int code = Main.run(new PrintWriter(out), new PrintWriter(err), texts);
    return new Cli(code, out.toString(), err.toString());
  }

  /** Tunes the tiny network in two threads, quietly; more arguments follow. */
  static Cli tune(Path data, Object... more) {
    Object[] first = {"tune", "--backbone", TinyData.network(), "--data", data, "--quiet"};
    Object[] all = Arrays.copyOf(first, first.length + more.length);
    System.arraycopy(more, 0, all, first.length, more.length);
    return run(all);
  }

  /** Fails with what stderr said unless the command succeeded without a word there. */
  Cli succeeded() {
    assertEquals("", err);
    assertEquals(0, code);
    return this;
  }

  /** Checks exit code and the one sentence on stderr. */
  void failed(int expected, String sentence) {
    assertEquals("lqf: " + sentence + System.lineSeparator(), err);
    assertEquals(expected, code);
    assertEquals("", out);
  }

  JsonNode json() throws IOException {
    return read(out);
  }

  static JsonNode read(String text) throws IOException {
    return new ObjectMapper().readTree(text);
  }
}
