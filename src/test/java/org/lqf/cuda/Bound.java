package org.lqf.cuda;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.lqf.cuda.Kernels.Built;

/**
 * How fast the main loop of a kernel could be at most: the clocks that one step of one warp takes
 * of each thing that the warps of a multiprocessor share. The largest is the bound. It is no
 * timing: latencies, bank conflicts, prologues and epilogues are left out.
 *
 * @param math clocks of FFMA, DFMA or HMMA at the card's peak
 * @param issue of all instructions, four a clock
 * @param shared of shared memory, 128 bytes a clock, every access as wide as its lanes
 * @param sharedMerged the same where 16-byte loads whose lanes i and i ^ 1, or i and i ^ 2, have
 *     one address take two clocks and not four, as is observed but not documented; on tensor cores
 *     none have
 * @param l2 of what comes from device memory, 64 bytes a clock, as if L1 held nothing
 * @param dram of what must come from device memory itself at least, for a convolution of 64
 *     channels to 64, 3x3 (ResNet-18's layer1); 0 for other kernels
 */
record Bound(
    double math,
    double issue,
    double shared,
    double sharedMerged,
    double l2,
    double dram,
    Cubin.Code step) {

  /**
   * A card, by its data sheet: dense peaks, boost clock.
   *
   * @param ffma warp instructions a clock of one multiprocessor; so dfma
   * @param hmma warp instructions m16n8k8 tf32 or m16n8k16 bf16 a clock
   * @param dram bytes a clock of one multiprocessor
   */
  record Card(String name, int architecture, double ffma, double dfma, double hmma, double dram) {}

  static final List<Card> CARDS =
      List.of(
          new Card("A100", 80, 2, 1, 0.5, 2039 / (108 * 1.41)),
          new Card("H100", 90, 4, 2, 1, 3350 / (132 * 1.755)));

  private static final int LANES = 32;
  private static final int SCHEDULERS = 4;
  private static final int L2_BYTES = 64;
  private static final int LEAST_MATH = 64; // in a loop that is worth a bound
  private static final Map<String, Integer> CLOCKS =
      Map.of(
          "LDS.128",
          4,
          "LDS.64",
          2,
          "LDS.32",
          1,
          "STS.128",
          4,
          "STS.64",
          2,
          "STS.32",
          1,
          "LDGSTS.128",
          4,
          "LDSM",
          4);
  private static final Map<String, Integer> BYTES =
      Map.of("LDG.128", 16, "LDG.64", 8, "LDG.32", 4, "LDGSTS.128", 16);

  /**
   * Of the loop with most arithmetic; empty if there is none to speak of, and for the tiles of a
   * convolution that are made where wide ones would leave multiprocessors idle.
   */
  static Optional<Bound> of(Built built, Card card) {
    if (built.label().contains("conv2d_kernel<") && !built.label().endsWith(",wide>")) {
      return Optional.empty();
    }
    Optional<Cubin.Code> step = step(built);
    return step.map(s -> of(built.label(), s, card));
  }

  /** The fraction of the arithmetic peak that the bound leaves. */
  double fractionOfPeak() {
    return math / largest(shared);
  }

  double fractionOfPeakMerged() {
    return math / largest(sharedMerged);
  }

  /** What the bound comes from. */
  String limit() {
    double most = largest(sharedMerged);
    return most == math
        ? "arithmetic"
        : most == issue
            ? "issue slots"
            : most == sharedMerged ? "shared memory" : most == l2 ? "L2" : "DRAM";
  }

  private double largest(double sharedClocks) {
    return Math.max(Math.max(math, issue), Math.max(sharedClocks, Math.max(l2, dram)));
  }

  /**
   * One step of the main loop: all of what stages one piece of the depth and multiplies it. Where
   * the multiplication is a loop of its own, its instructions count as often as it runs; both sides
   * of other branches, and loops that seldom run (a cursor's carry), count once.
   */
  static Optional<Cubin.Code> step(Built built) {
    Optional<Cubin.Loop> inner = innermost(built);
    if (inner.isEmpty()) {
      return Optional.empty();
    }
    Cubin.Loop loop = inner.get();
    int runs = perStep(built.label()) / math(loop.code());
    if (runs <= 1) {
      return Optional.of(loop.code());
    }
    Cubin.Loop outer =
        built.kernel().loops().stream()
            .filter(l -> l.contains(loop))
            .findFirst()
            .orElseThrow(() -> new IllegalStateException(built + ": no loop around its product"));
    Map<String, Integer> counts = new java.util.TreeMap<>(outer.code().counts());
    loop.code()
        .counts()
        .forEach((name, count) -> counts.merge(name, (runs - 1) * count, Integer::sum));
    return Optional.of(
        new Cubin.Code(
            outer.code().instructions() + (runs - 1) * loop.code().instructions(), counts));
  }

  /** The loop with most arithmetic for its length. */
  static Optional<Cubin.Loop> innermost(Built built) {
    List<Cubin.Loop> loops =
        built.kernel().loops().stream().filter(l -> math(l.code()) >= LEAST_MATH).toList();
    return loops.stream()
        .filter(loop -> loops.stream().noneMatch(loop::contains))
        .max((a, b) -> Integer.compare(math(a.code()), math(b.code())));
  }

  private static int math(Cubin.Code code) {
    return code.count("FFMA") + code.count("DFMA") + 8 * code.count("HMMA");
  }

  /**
   * FFMA of a step where its product is not unrolled, else 0: conv2d_tile.cuh, of a packet and
   * source 8 x 8 x 4, of y and y_dot together 3 x 8 x 4 x 4; a step has four.
   */
  private static int perStep(String label) {
    return !label.contains("conv2d_kernel<fp32") ? 0 : products(label) == 3 ? 1536 : 1024;
  }

  /** A value is one product, a tangent two. */
  static int products(String label) {
    String[] flags = label.substring(label.indexOf('<') + 1).split("[,>]");
    return Integer.parseInt(flags[1]) + 2 * Integer.parseInt(flags[2]);
  }

  private static Bound of(String label, Cubin.Code step, Card card) {
    int shared = weighted(step, CLOCKS);
    double math =
        step.count("HMMA") > 0 // FFMA then rounds, beside it
            ? step.count("HMMA") / card.hmma
            : step.count("FFMA") / card.ffma + step.count("DFMA") / card.dfma;
    return new Bound(
        math,
        (double) step.instructions() / SCHEDULERS,
        shared,
        step.count("HMMA") > 0 ? shared : shared - 2.0 * step.count("LDS.128"),
        (double) weighted(step, BYTES) * LANES / L2_BYTES,
        label.contains("conv2d_kernel<") ? dram(label, card) : 0,
        step);
  }

  /**
   * Bytes of x, x_dot, y and y_dot of a tile of 64 channels, for one step of one of 8 warps:
   * conv2d_tensor.cuh, Shape.
   */
  private static double dram(String label, Card card) {
    String[] flags = label.substring(label.indexOf('<') + 1).split("[,>]");
    int tangent = Integer.parseInt(flags[2]);
    int tensors = 1 + tangent + Integer.parseInt(flags[1]) + tangent;
    boolean isFp32 = flags[0].equals("fp32");
    int pixels = isFp32 && products(label) == 3 ? 128 : 256;
    int depth = flags[0].equals("tf32") || (isFp32 && products(label) == 2) ? 8 : 16;
    return tensors * pixels * 64 * 4 / (64 * 9 / (double) depth * 8) / card.dram;
  }

  private static int weighted(Cubin.Code code, Map<String, Integer> weights) {
    return weights.entrySet().stream().mapToInt(e -> e.getValue() * code.count(e.getKey())).sum();
  }
}
