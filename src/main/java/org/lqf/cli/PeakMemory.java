package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The most main memory that this process ever had. */
final class PeakMemory {

  private PeakMemory() {}

  /** Peak resident set in bytes, engine and JVM together; -1 where the system does not tell. */
  static long bytes() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
        if (line.startsWith("VmHWM:")) {
          return 1024 * Long.parseLong(line.replaceAll("[^0-9]", "")); // "VmHWM:  1234 kB"
        }
      }
    } catch (IOException | NumberFormatException e) {
      return -1; // no Linux
    }
    return -1;
  }
}
