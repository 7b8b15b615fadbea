package org.lqf.bench;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Times variants side by side on a machine that others use too.
 *
 * <p>Variants take turns, A B A B, in this process. A sample counts only if the threads that work
 * hardly waited for a processor meanwhile: the run delay of {@code /proc/self/task/*}{@code
 * /schedstat}, threads of the JIT and the garbage collector left out. After each sample the process
 * sleeps, as long as it ran or a little, so that a scheduler has no reason to preempt it next time
 * and idle workers of the other variant stop spinning. What neighbours do to caches and memory is
 * not filtered.
 */
public final class CleanTiming {

  /** Part of a sample, per thread, that its threads may have waited for a processor. */
  private static final double WAITED = 0.05;

  private static final double SHORTEST = 0.05; // seconds of a sample; short work is repeated

  private static final long LONGEST_SLEEP = 300; // milliseconds

  /** What is timed; once it has run, all is warm and allocated. */
  @FunctionalInterface
  public interface Work {
    void run() throws Exception;
  }

  /**
   * Clean samples of one variant.
   *
   * @param seconds of one run, ascending; where no sample was clean, the best of the others alone
   * @param clean how many samples were clean
   * @param rejected how many were not
   */
  public record Times(double[] seconds, int clean, int rejected) {
    public double median() {
      return quantile(0.5);
    }

    /** The smallest time that at least this part of the samples does not exceed. */
    public double quantile(double part) {
      int at = (int) Math.ceil(part * seconds.length) - 1;
      return seconds[Math.max(0, at)];
    }
  }

  private final int threads;
  private final int wanted;
  private final double budget;
  private double shortest = SHORTEST;

  /**
   * @param threads that a variant works with
   * @param wanted clean samples of each variant
   * @param budget seconds after which fewer have to do
   */
  public CleanTiming(int threads, int wanted, double budget) {
    this.threads = threads;
    this.wanted = wanted;
    this.budget = budget;
  }

  /** Every sample is one run, for quantiles of single calls. */
  public CleanTiming singleRuns() {
    shortest = 0;
    return this;
  }

  /** Runs each variant once, then takes turns until all have enough samples or time is up. */
  public Map<String, Times> of(Map<String, Work> variants) throws Exception {
    Map<String, double[]> seconds = new LinkedHashMap<>();
    Map<String, int[]> counts = new LinkedHashMap<>(); // clean, rejected
    Map<String, Double> bestRejected = new HashMap<>();
    for (Map.Entry<String, Work> variant : variants.entrySet()) {
      variant.getValue().run();
      seconds.put(variant.getKey(), new double[wanted]);
      counts.put(variant.getKey(), new int[2]);
    }
    long start = System.nanoTime();
    boolean enough = false;
    while (!enough && (System.nanoTime() - start) / 1e9 < budget) {
      enough = true;
      for (Map.Entry<String, Work> variant : variants.entrySet()) {
        int[] count = counts.get(variant.getKey());
        if (count[0] < wanted) {
          enough = false;
          double sample = sample(variant.getValue());
          if (sample < 0) {
            count[1]++;
            bestRejected.merge(variant.getKey(), -sample, Math::min);
          } else {
            seconds.get(variant.getKey())[count[0]++] = sample;
          }
        }
      }
    }
    Map<String, Times> times = new LinkedHashMap<>();
    seconds.forEach(
        (name, all) -> {
          int clean = counts.get(name)[0];
          double[] sorted =
              clean > 0
                  ? Arrays.copyOf(all, clean)
                  : new double[] {bestRejected.getOrDefault(name, Double.NaN)};
          Arrays.sort(sorted);
          times.put(name, new Times(sorted, clean, counts.get(name)[1]));
        });
    return times;
  }

  /** Seconds of one run, negative if it was preempted. */
  private double sample(Work work) throws Exception {
    double waited = runDelay();
    long start = System.nanoTime();
    int runs = 0;
    double elapsed;
    do {
      work.run();
      runs++;
      elapsed = (System.nanoTime() - start) / 1e9;
    } while (elapsed < shortest);
    waited = runDelay() - waited;
    Thread.sleep(Math.min(LONGEST_SLEEP, (long) (1000 * elapsed) + 1));
    return waited <= WAITED * threads * elapsed ? elapsed / runs : -elapsed / runs;
  }

  /** Seconds that the threads of this process waited for a processor so far. */
  public static double runDelay() throws IOException {
    double seconds = 0;
    try (DirectoryStream<Path> tasks = Files.newDirectoryStream(Path.of("/proc/self/task"))) {
      for (Path task : tasks) {
        try {
          // Workers inherit the name of the thread that started them: the JVM's main one.
          if (Files.readString(task.resolve("comm")).startsWith("java")) {
            seconds += Long.parseLong(Files.readString(task.resolve("schedstat")).split(" ")[1]);
          }
        } catch (IOException e) {
          // the thread has ended
        }
      }
    }
    return seconds / 1e9;
  }
}
