package org.lqf.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What a measurement was made on. */
public final class Machine {

  private Machine() {}

  /** Processor, cores, memory, system, Java and the commit of this tree, one a line. */
  public static List<String> describe() throws IOException, InterruptedException {
    return List.of(
        "processor: %s, %d threads"
            .formatted(
                value("/proc/cpuinfo", "model name"), Runtime.getRuntime().availableProcessors()),
        "memory: " + value("/proc/meminfo", "MemTotal"),
        "system: " + output("uname", "-sr"),
        "java: " + System.getProperty("java.vm.name") + " " + System.getProperty("java.version"),
        "commit: "
            + output("git", "rev-parse", "--short", "HEAD")
            + (output("git", "status", "--porcelain", "-uno").isEmpty() ? "" : " with changes"));
  }

  /** A number of /proc/self/status in bytes, such as VmHWM, the peak resident set. */
  public static long status(String name) throws IOException {
    return 1024 * Long.parseLong(value("/proc/self/status", name).replaceAll("[^0-9]", ""));
  }

  private static String value(String file, String name) throws IOException {
    for (String line : Files.readAllLines(Path.of(file))) {
      if (line.startsWith(name)) {
        return line.substring(line.indexOf(':') + 1).strip();
      }
    }
    return "unknown";
  }

  private static String output(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return text.strip();
  }
}
