package org.lqf.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;

/**
 * What the processor can do at most, measured now by {@code bench/limits.cpp}.
 *
 * @param gigaflops float multiply-adds on registers, two operations each, per second
 * @param gigabytes traffic of a + s·b → c in main memory, per second; caches are faster
 */
public record Limits(double gigaflops, double gigabytes) {

  /** Of so many threads of the CPU together; NaN for another device, whose limits are others. */
  public static Limits of(String device, int threads) throws IOException {
    if (!device.equals("cpu")) {
      return new Limits(Double.NaN, Double.NaN);
    }
    String program = System.getProperty("lqf.bench.limits", "target/cmake/lqf_limits");
    Process process = new ProcessBuilder(program, Integer.toString(threads)).start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    String[] numbers = text.strip().split(" ");
    if (numbers.length != 2) {
      throw new IOException("%s printed \"%s\", expected two numbers".formatted(program, text));
    }
    return new Limits(Double.parseDouble(numbers[0]), Double.parseDouble(numbers[1]));
  }
}
