package org.lqf.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.IntSummaryStatistics;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.AggregationPolicy;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.ScalarResult;

/**
 * The clocks of the GPU while a benchmark runs, beside its numbers: {@code -prof
 * org.lqf.bench.GpuClocks}. A row whose {@code clocks.steady} is below 1 ran while they moved or
 * while the driver held them down: it says nothing about the code. Rows of the CPU have none.
 */
public final class GpuClocks implements InternalProfiler {

  private static final int SAMPLE_MS = 100;
  private static final long PATIENCE_MS = 5000; // until nvidia-smi says its first word
  private static final double TOLERANCE = 0.02;

  /** NVML's clock event reasons: power cap, slowdown, both thermal slowdowns, power brake. */
  private static final long HELD_DOWN = 0x04 | 0x08 | 0x20 | 0x40 | 0x80;

  /**
   * One answer of nvidia-smi.
   *
   * @param sm MHz
   * @param memory MHz
   * @param reasons why the clocks are not at their highest, NVML's bits
   */
  record Sample(int sm, int memory, long reasons) {

    /** Of a line {@code 1755, 2619, 0x0000000000000000}. */
    static Sample of(String line) {
      String[] fields = line.trim().split(" *, *");
      if (fields.length != 3 || !fields[2].startsWith("0x")) {
        throw new IllegalArgumentException(
            "nvidia-smi says \"" + line + "\", expected three clocks");
      }
      return new Sample(
          Integer.parseInt(fields[0]),
          Integer.parseInt(fields[1]),
          Long.parseUnsignedLong(fields[2].substring(2), 16));
    }

    boolean isHeldDown() {
      return (reasons & HELD_DOWN) != 0;
    }
  }

  private final ProcessBuilder command;
  private final List<Sample> samples = new ArrayList<>();
  private @Nullable Thread reader;
  private int highest; // MHz of any iteration so far

  /** For JMH. */
  public GpuClocks() {
    this(
        List.of(
            "nvidia-smi",
            "--id=0",
            "--query-gpu=clocks.sm,clocks.mem,clocks_event_reasons.active",
            "--format=csv,noheader,nounits",
            "--loop-ms=" + SAMPLE_MS));
  }

  GpuClocks(List<String> command) {
    this.command = new ProcessBuilder(command).redirectErrorStream(true);
  }

  @Override
  public String getDescription() {
    return "clocks of the GPU while a benchmark runs";
  }

  @Override
  public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {
    if (isOnGpu(benchmark)) {
      begin();
    }
  }

  @Override
  public Collection<? extends Result<?>> afterIteration(
      BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
    return isOnGpu(benchmark) ? end() : List.of();
  }

  private static boolean isOnGpu(BenchmarkParams benchmark) {
    return !benchmark.getParamsKeys().contains("backend")
        || benchmark.getParam("backend").equals("cuda");
  }

  /** Starts an iteration, with the last sample before it. */
  synchronized void begin() {
    Thread source = reader;
    if (source == null) {
      source = start();
      reader = source;
    }
    long deadline = System.currentTimeMillis() + PATIENCE_MS;
    try {
      while (samples.isEmpty() && source.isAlive() && System.currentTimeMillis() < deadline) {
        wait(SAMPLE_MS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (samples.isEmpty()) {
      throw new IllegalStateException("no clocks from " + String.join(" ", command.command()));
    }
    samples.subList(0, samples.size() - 1).clear();
  }

  /** Ends an iteration. */
  synchronized List<ScalarResult> end() {
    IntSummaryStatistics sm = samples.stream().mapToInt(Sample::sm).summaryStatistics();
    highest = Math.max(highest, sm.getMax());
    boolean steady =
        sm.getMin() >= (1 - TOLERANCE) * highest && samples.stream().noneMatch(Sample::isHeldDown);
    return List.of(
        new ScalarResult("clocks.sm.min", sm.getMin(), "MHz", AggregationPolicy.MIN),
        new ScalarResult("clocks.sm.max", sm.getMax(), "MHz", AggregationPolicy.MAX),
        new ScalarResult("clocks.steady", steady ? 1 : 0, "", AggregationPolicy.MIN));
  }

  private Thread start() {
    Process process;
    try {
      process = command.start();
    } catch (IOException e) {
      throw new UncheckedIOException("clocks cannot be watched", e);
    }
    Runtime.getRuntime().addShutdownHook(new Thread(process::destroy));
    Thread source = new Thread(() -> read(process), "clocks of the GPU");
    source.setDaemon(true);
    source.start();
    return source;
  }

  private void read(Process process) {
    try (BufferedReader lines = process.inputReader()) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        Sample sample = Sample.of(line);
        synchronized (this) {
          samples.add(sample);
          notifyAll();
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
