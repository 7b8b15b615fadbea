package org.lqf.bench.peers;

import ai.onnxruntime.OrtEnvironment;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.lqf.bench.CleanTiming;
import org.lqf.bench.Machine;
import org.lqf.engine.Engine;

/** Compares lqf with its peers side by side; {@code bench/peers} runs it and says how. */
public final class Peers {

  private static final int MEMORY_RUNS = 2;

  /** Of the time that is left for a comparison, the part for sampling; the rest goes to set-up. */
  private static final double SAMPLING = 0.4;

  private final boolean quick;
  private final String only;
  private final List<Integer> threads;
  private final Path json; // null: none
  private final List<Entry> entries = new ArrayList<>();
  private final long start = System.nanoTime();
  private int failures;

  private Peers(boolean quick, String only, List<Integer> threads, Path json) {
    this.quick = quick;
    this.only = only;
    this.threads = threads;
    this.json = json;
  }

  /** Options: --quick, --json FILE, --only REGEX of names, --threads 1,2. */
  public static void main(String[] arguments) throws Exception {
    List<String> options = new ArrayList<>(Arrays.asList(arguments));
    if (options.remove("--memory")) { // a child: name, side, threads
      System.out.println(peak(options.get(0), options.get(1), Integer.parseInt(options.get(2))));
      System.exit(0); // workers of the peers would keep it alive
    }
    boolean quick = options.remove("--quick");
    String json = option(options, "--json", "");
    String only = option(options, "--only", ".*");
    String processors = Integer.toString(Runtime.getRuntime().availableProcessors());
    String counts =
        option(
            options, "--threads", quick || processors.equals("1") ? processors : processors + ",1");
    if (!options.isEmpty()) {
      System.err.println("bench/peers [--quick] [--json FILE] [--only REGEX] [--threads 2,1]");
      System.exit(2);
    }
    Machine.describe().forEach(System.out::println);
    try (Engine engine = Engine.open("cpu")) {
      System.out.println("lqf: " + engine.describe());
    }
    System.out.println("onnxruntime: " + OrtEnvironment.getEnvironment().getVersion());
    Matcher version =
        Pattern.compile("pytorch-([0-9.]+)-").matcher(System.getProperty("java.class.path"));
    System.out.println("libtorch: " + (version.find() ? version.group(1) : "unknown"));
    List<Integer> list = Arrays.stream(counts.split(",")).map(Integer::valueOf).toList();
    Peers peers = new Peers(quick, only, list, json.isEmpty() ? null : Path.of(json));
    peers.run();
    System.exit(peers.failures > 0 ? 1 : 0);
  }

  private static String option(List<String> options, String name, String otherwise) {
    int at = options.indexOf(name);
    if (at < 0 || at + 1 == options.size()) {
      return otherwise;
    }
    options.remove(at);
    return options.remove(at);
  }

  /** One of the comparisons, given the seconds that it may take. */
  @FunctionalInterface
  private interface Part {
    void run(double seconds) throws Exception;
  }

  private void run() {
    Map<String, Part> parts = new LinkedHashMap<>();
    for (int count : threads) {
      for (Comparison comparison : Comparison.all()) {
        boolean wanted = quick ? comparison.quick() : count > 1 || comparison.alone();
        if (wanted && comparison.name().matches(only)) {
          boolean first = count == threads.get(0);
          parts.put(
              comparison.name() + " with " + count,
              seconds -> compare(comparison, count, seconds, first));
        }
      }
      for (Comparison comparison : Comparison.latencies()) {
        if (comparison.name().matches(only)) {
          parts.put(
              comparison.name() + " with " + count, seconds -> latency(comparison, count, seconds));
        }
      }
    }
    double reserved = 0;
    if ("optimum".matches(only)) {
      reserved = quick ? 90 : 480;
      int count = threads.get(0);
      Optimum optimum = new Optimum(quick ? 20 : 100, 50, count);
      parts.put("optimum", seconds -> optimum.compare().forEach(this::add));
    }
    double budget = quick ? 520 : 1300; // seconds
    int left = parts.size() - (reserved > 0 ? 1 : 0);
    for (Map.Entry<String, Part> part : parts.entrySet()) {
      double rest = budget - reserved - (System.nanoTime() - start) / 1e9;
      if (rest <= 0 && !part.getKey().equals("optimum")) {
        System.out.println("left out for want of time: " + part.getKey());
        continue;
      }
      try {
        part.getValue().run(Math.max(1, SAMPLING * rest / Math.max(1, left--)));
      } catch (Exception e) { // the others are worth having
        failures++;
        System.out.println("FAILED " + part.getKey() + ": " + e);
      }
    }
  }

  private void add(Entry entry) {
    entries.add(entry);
    System.out.println(entry.line());
    if (json != null) {
      try {
        Entry.write(json, entries); // each time: a run that is cut off leaves what it has
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private void compare(Comparison comparison, int count, double seconds, boolean withMemory)
      throws Exception {
    Map<String, CleanTiming.Times> times =
        times(comparison, count, new CleanTiming(count, quick ? 7 : 9, Math.min(20, seconds)));
    boolean memory = withMemory && !comparison.size().endsWith("/b1");
    Map<String, Double> best = new LinkedHashMap<>(); // of the settings of one peer
    Map<String, String> setting = new LinkedHashMap<>();
    for (String name : comparison.peers().keySet()) {
      String peer = name.split(":")[0];
      double median = millis(times.get(name), 0.5);
      double least = best.getOrDefault(peer, Double.NaN);
      if (Double.isNaN(least) || median < least) {
        best.put(peer, median);
        setting.put(peer, name);
      }
    }
    Map<String, Long> peerBytes = new LinkedHashMap<>();
    for (String peer : best.keySet()) {
      peerBytes.put(peer, memory ? memory(comparison, setting.get(peer), count) : null);
    }
    for (String variant : comparison.ours().keySet()) {
      Long bytes = memory ? memory(comparison, lqf(variant), count) : null;
      best.forEach(
          (peer, millis) ->
              add(
                  new Entry(
                      comparison.what()
                          + "/"
                          + peer
                          + "/"
                          + comparison.size()
                          + (variant.isEmpty() ? "" : "/" + variant),
                      count,
                      millis(times.get(lqf(variant)), 0.5),
                      millis,
                      bytes,
                      peerBytes.get(peer))));
    }
  }

  /** A quantile of clean samples; NaN if there is none: others say nothing. */
  private static double millis(CleanTiming.Times times, double part) {
    return times.clean() > 0 ? 1e3 * times.quantile(part) : Double.NaN;
  }

  private static String lqf(String variant) {
    return variant.isEmpty() ? "lqf" : "lqf:" + variant;
  }

  private void latency(Comparison comparison, int count, double seconds) throws Exception {
    CleanTiming timing = new CleanTiming(count, 300, Math.min(30, 2 * seconds)).singleRuns();
    Map<String, CleanTiming.Times> times = times(comparison, count, timing);
    for (int percent : new int[] {50, 99}) {
      add(
          new Entry(
              "predict-p%d/libtorch/%s".formatted(percent, comparison.size()),
              count,
              millis(times.get("lqf"), percent / 100.0),
              millis(times.get("libtorch"), percent / 100.0),
              null,
              null));
    }
  }

  /** Checks that all compute the same, then times them. */
  private static Map<String, CleanTiming.Times> times(
      Comparison comparison, int count, CleanTiming timing) throws Exception {
    Map<String, Task> tasks = new LinkedHashMap<>();
    for (Map.Entry<String, Comparison.Maker> variant : comparison.ours().entrySet()) {
      tasks.put(lqf(variant.getKey()), variant.getValue().make(count));
    }
    for (Map.Entry<String, Comparison.Maker> peer : comparison.peers().entrySet()) {
      tasks.put(peer.getKey(), peer.getValue().make(count));
    }
    float[] expected = {};
    Map<String, CleanTiming.Work> work = new LinkedHashMap<>();
    for (Map.Entry<String, Task> task : tasks.entrySet()) {
      task.getValue().run();
      float[] result = task.getValue().result();
      expected = task.getKey().equals("lqf") ? result : expected;
      double difference = difference(expected, result);
      if (!(difference <= comparison.tolerance())) {
        throw new IllegalStateException(
            "%s: %s differs from lqf by %.1e, expected %.0e at most"
                .formatted(comparison.name(), task.getKey(), difference, comparison.tolerance()));
      }
      System.out.printf("  %s: %s agrees to %.1e%n", comparison.name(), task.getKey(), difference);
      work.put(task.getKey(), task.getValue()::run);
    }
    Map<String, CleanTiming.Times> times = timing.of(work);
    for (Task task : tasks.values()) {
      task.close();
    }
    times.forEach(
        (name, t) ->
            System.out.printf(
                "  %s: %s %.2f ms, best %.2f, %d clean samples of %d%n",
                comparison.name(),
                name,
                1e3 * t.median(),
                1e3 * t.quantile(0),
                t.clean(),
                t.clean() + t.rejected()));
    return times;
  }

  /** ‖b − a‖ / ‖a‖. */
  static double difference(float[] a, float[] b) {
    if (a.length != b.length) {
      throw new IllegalStateException(
          "results of %d and of %d values".formatted(a.length, b.length));
    }
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < a.length; i++) {
      difference += Math.pow((double) b[i] - a[i], 2);
      norm += (double) a[i] * a[i];
    }
    return Math.sqrt(difference / norm);
  }

  /** Peak resident set of a process that only does this; null if it failed. */
  private static Long memory(Comparison comparison, String side, int count)
      throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(List.of(System.getProperty("lqf.bench.java").split(" ")));
    command.addAll(
        List.of(
            Peers.class.getName(), "--memory", comparison.name(), side, Integer.toString(count)));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().remove("GLIBC_TUNABLES"); // tuned for speed, at the price of memory
    builder.redirectError(ProcessBuilder.Redirect.INHERIT);
    Process process = builder.start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      System.out.printf("  %s: no peak memory of %s: %s%n", comparison.name(), side, text.strip());
      return null; // the times are worth having
    }
    return Long.valueOf(text.strip());
  }

  private static long peak(String name, String side, int count) throws Exception {
    for (Comparison comparison : Comparison.all()) {
      if (comparison.name().equals(name)) {
        Comparison.Maker maker =
            side.startsWith("lqf")
                ? comparison.ours().get(side.replaceFirst("lqf:?", ""))
                : comparison.peers().get(side);
        try (Task task = maker.make(count)) {
          for (int run = 0; run < MEMORY_RUNS; run++) {
            task.run();
          }
          return Machine.status("VmHWM");
        }
      }
    }
    throw new IllegalArgumentException(name);
  }
}
