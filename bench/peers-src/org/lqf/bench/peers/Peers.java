package org.lqf.bench.peers;

import ai.onnxruntime.OrtEnvironment;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.lqf.bench.CleanTiming;
import org.lqf.bench.Machine;
import org.lqf.engine.Engine;
import org.lqf.tune.Solver;

/** Compares lqf with its peers side by side; {@code bench/peers} runs it and says how. */
public final class Peers {

  private static final int MEMORY_RUNS = 3;

  private final boolean quick;
  private final String only;
  private final List<Integer> threads;
  private final List<Entry> entries = new ArrayList<>();

  private Peers(boolean quick, String only, List<Integer> threads) {
    this.quick = quick;
    this.only = only;
    this.threads = threads;
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
    Peers peers =
        new Peers(quick, only, Arrays.stream(counts.split(",")).map(Integer::valueOf).toList());
    try {
      peers.run();
    } finally {
      if (!json.isEmpty()) {
        Entry.write(Path.of(json), peers.entries);
      }
    }
    System.exit(0);
  }

  private static String option(List<String> options, String name, String otherwise) {
    int at = options.indexOf(name);
    if (at < 0 || at + 1 == options.size()) {
      return otherwise;
    }
    options.remove(at);
    return options.remove(at);
  }

  private void run() throws Exception {
    for (int count : threads) {
      for (Comparison comparison : Comparison.all()) {
        if (comparison.name().matches(only) && !(quick && comparison.full())) {
          compare(comparison, count);
        }
      }
      for (Comparison comparison : Comparison.latencies()) {
        if (comparison.name().matches(only)) {
          latency(comparison, count);
        }
      }
    }
    if ("optimum".matches(only)) {
      int count = threads.get(0);
      Optimum optimum =
          quick
              ? new Optimum(10, 10, count, List.of(Solver.CG, Solver.SGD_KFAC, Solver.GRAM))
              : new Optimum(
                  100,
                  30,
                  count,
                  List.of(Solver.CG, Solver.CG_KFAC, Solver.SGD_KFAC, Solver.SGD, Solver.GRAM));
      optimum.compare().forEach(this::add);
    }
  }

  private void add(Entry entry) {
    entries.add(entry);
    System.out.println(entry.line());
  }

  private void compare(Comparison comparison, int count) throws Exception {
    Map<String, CleanTiming.Times> times =
        times(comparison, count, new CleanTiming(count, quick ? 5 : 9, quick ? 15 : 60));
    double ours = 1e3 * times.get("lqf").median();
    Long ourBytes = memory(comparison, "lqf", count);
    Map<String, Double> best = new LinkedHashMap<>(); // of the settings of one peer
    Map<String, String> setting = new LinkedHashMap<>();
    for (String name : comparison.peers().keySet()) {
      String peer = name.split(":")[0];
      double median = 1e3 * times.get(name).median();
      if (median < best.getOrDefault(peer, Double.POSITIVE_INFINITY)) {
        best.put(peer, median);
        setting.put(peer, name);
      }
    }
    for (Map.Entry<String, Double> peer : best.entrySet()) {
      add(
          new Entry(
              comparison.what() + "/" + peer.getKey() + "/" + comparison.size(),
              count,
              ours,
              peer.getValue(),
              ourBytes,
              memory(comparison, setting.get(peer.getKey()), count)));
    }
  }

  private void latency(Comparison comparison, int count) throws Exception {
    CleanTiming timing = new CleanTiming(count, quick ? 50 : 300, quick ? 20 : 90).singleRuns();
    Map<String, CleanTiming.Times> times = times(comparison, count, timing);
    for (int percent : new int[] {50, 99}) {
      add(
          new Entry(
              "predict-p%d/libtorch/%s".formatted(percent, comparison.size()),
              count,
              1e3 * times.get("lqf").quantile(percent / 100.0),
              1e3 * times.get("libtorch").quantile(percent / 100.0),
              null,
              null));
    }
  }

  /** Checks that all compute the same, then times them. */
  private static Map<String, CleanTiming.Times> times(
      Comparison comparison, int count, CleanTiming timing) throws Exception {
    Map<String, Task> tasks = new LinkedHashMap<>();
    tasks.put("lqf", comparison.ours().make(count));
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

  /** Peak resident set of a process that only does this. */
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
    if (!process.waitFor(180, TimeUnit.SECONDS) || process.exitValue() != 0) {
      throw new IOException("the process that measures memory failed: " + text);
    }
    return Long.valueOf(text.strip());
  }

  private static long peak(String name, String side, int count) throws Exception {
    for (Comparison comparison : Comparison.all()) {
      if (comparison.name().equals(name)) {
        Comparison.Maker maker =
            side.equals("lqf") ? comparison.ours() : comparison.peers().get(side);
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
