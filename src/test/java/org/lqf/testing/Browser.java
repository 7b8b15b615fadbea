package org.lqf.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;

/**
 * A real browser without a window: Debian's Chromium, spoken to in its DevTools protocol over
 * pipes, so that no port is opened.
 */
public final class Browser implements AutoCloseable {

  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long TIMEOUT_SECONDS = 240; // of all pages, on a busy machine

  private final Path profile;
  private final Process process;
  private final OutputStream commands;
  private final InputStream answers;
  private final Thread watchdog;
  private int sent;
  private String session = "";
  private List<String> requests = new ArrayList<>();
  private List<String> complaints = new ArrayList<>();
  private boolean loaded;

  /**
   * What happened while a page was loaded.
   *
   * @param requests addresses that it asked for, itself first
   * @param complaints what the console and the log say, exceptions included
   * @param result of the script, as JSON
   */
  public record Visit(List<String> requests, List<String> complaints, JsonNode result) {}

  /** Its profile is a folder of its own, gone when it is closed. */
  private Browser(Path profile, Process process) {
    this.profile = profile;
    this.process = process;
    this.commands = process.getOutputStream();
    this.answers = new BufferedInputStream(process.getInputStream());
    this.watchdog =
        new Thread(
            () -> {
              try {
                if (!process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
                  process.destroyForcibly();
                }
              } catch (InterruptedException e) {
                process.destroyForcibly();
              }
            });
    watchdog.setDaemon(true);
    watchdog.start();
  }

  /** Starts it, or skips the test with the reason if there is none. */
  public static Browser open() throws IOException {
    assumeTrue(
        List.of(System.getenv("PATH").split(":")).stream()
            .anyMatch(folder -> Files.isExecutable(Path.of(folder, "chromium"))),
        "chromium is not installed (apt-get install chromium), so no page is opened");
    String command =
        "exec chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
            + " --disable-background-networking --disable-component-update --disable-sync"
            + " --disable-dev-shm-usage --window-size=1280,900 --remote-debugging-pipe"
            + " --user-data-dir=\"$0\" 3<&0 4>&1 1>&2";
    Path profile = Files.createTempDirectory("chromium");
    Process process =
        new ProcessBuilder("bash", "-c", command, profile.toString())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    Browser browser = new Browser(profile, process);
    try {
      browser.openPage();
    } catch (IOException e) {
      try {
        browser.close();
      } catch (IOException second) {
        e.addSuppressed(second);
      }
      throw e;
    }
    return browser;
  }

  private void openPage() throws IOException {
    ObjectNode blank = JSON.createObjectNode().put("url", "about:blank");
    String target = call("Target.createTarget", blank).get("targetId").textValue();
    ObjectNode attach = JSON.createObjectNode().put("targetId", target).put("flatten", true);
    session = call("Target.attachToTarget", attach).get("sessionId").textValue();
    for (String domain : List.of("Page", "Network", "Runtime", "Log")) {
      call(domain + ".enable", JSON.createObjectNode());
    }
  }

  /**
   * Loads a file and then runs a script in it.
   *
   * @param script an expression whose value becomes JSON
   */
  public Visit visit(Path file, String script) throws IOException {
    requests = new ArrayList<>();
    complaints = new ArrayList<>();
    loaded = false;
    JsonNode answer =
        call("Page.navigate", JSON.createObjectNode().put("url", file.toUri().toString()));
    if (answer.has("errorText")) {
      throw new IOException(file + ": " + answer.get("errorText").textValue());
    }
    while (!loaded) {
      take(read());
    }
    ObjectNode expression =
        JSON.createObjectNode().put("expression", script).put("returnByValue", true);
    JsonNode result = call("Runtime.evaluate", expression);
    if (result.has("exceptionDetails")) {
      throw new IOException(result.toString());
    }
    return new Visit(requests, complaints, result.get("result").get("value"));
  }

  private JsonNode call(String method, ObjectNode parameters) throws IOException {
    ObjectNode command = JSON.createObjectNode().put("id", ++sent).put("method", method);
    command.set("params", parameters);
    if (!session.isEmpty()) {
      command.put("sessionId", session);
    }
    commands.write(command.toString().getBytes(StandardCharsets.UTF_8));
    commands.write(0);
    commands.flush();
    while (true) {
      JsonNode message = read();
      if (message.path("id").asInt() == sent) {
        if (message.has("error")) {
          throw new IOException(method + ": " + message.get("error"));
        }
        return message.get("result");
      }
      take(message);
    }
  }

  private void take(JsonNode message) {
    JsonNode what = message.path("params");
    switch (message.path("method").asText()) {
      case "Network.requestWillBeSent" -> requests.add(what.at("/request/url").textValue());
      case "Page.loadEventFired" -> loaded = true;
      case "Runtime.exceptionThrown", "Runtime.consoleAPICalled" -> complaints.add(what.toString());
      case "Log.entryAdded" -> complaints.add(what.at("/entry/text").asText());
      default -> {}
    }
  }

  /** The next message; they end with a zero byte. */
  private JsonNode read() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int b = answers.read(); b != 0; b = answers.read()) {
      if (b < 0) {
        throw new EOFException("chromium ended, or had " + TIMEOUT_SECONDS + " s and was ended");
      }
      bytes.write(b);
    }
    return JSON.readTree(bytes.toByteArray());
  }

  /** Ends it with every process that it started, and deletes what they wrote. */
  @Override
  public void close() throws IOException {
    List<ProcessHandle> children = process.descendants().toList();
    try {
      session = "";
      call("Browser.close", JSON.createObjectNode());
      process.waitFor(20, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      watchdog.interrupt(); // which ends it by force
      children.forEach(ProcessHandle::destroyForcibly); // some outlive it, and go on writing
      delete(profile);
    }
  }

  /** Tries again for as long as a process that is being ended still writes into the folder. */
  private static void delete(Path folder) throws IOException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (true) {
      try (Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.deleteIfExists(file);
        }
        return;
      } catch (IOException | UncheckedIOException e) {
        if (System.nanoTime() > end) {
          throw new IOException("chromium still writes into its profile", e);
        }
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
      }
    }
  }
}
