package org.lqf.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import org.lqf.cuda.Bound.Card;
import org.lqf.cuda.Kernels.Built;

/**
 * Writes what the machine code of the kernels says to {@code cuda-bounds.csv} (every kernel and
 * architecture) and {@code cuda-bounds.md}. {@code bench/cuda-bounds} builds and runs it.
 */
final class CubinTable {

  private CubinTable() {}

  /**
   * Runs.
   *
   * @param arguments folder of the cubins, folder to write to, version of nvcc
   */
  public static void main(String[] arguments) throws IOException {
    List<Built> kernels =
        Kernels.read(Path.of(arguments[0])).stream()
            .filter(k -> !k.label().startsWith("conformance/"))
            .toList();
    Path out = Path.of(arguments[1]);
    Files.write(out.resolve("cuda-bounds.csv"), csv(kernels));
    Files.write(out.resolve("cuda-bounds.md"), markdown(kernels, arguments[2]));
  }

  private static List<String> csv(List<Built> kernels) {
    List<String> lines = new ArrayList<>();
    lines.add(
        "kernel,sm,registers,spills,stack bytes,static shared bytes,dynamic shared bytes,threads,"
            + "blocks on a multiprocessor,occupancy %,instructions,main loop instructions,"
            + "main loop FFMA,main loop DFMA,main loop HMMA,main loop LDS.128,main loop LDSM,"
            + "main loop LDG.128,main loop LDGSTS.128");
    for (Built built : kernels) {
      Cubin.Kernel k = built.kernel();
      Occupancy occupancy = Occupancy.of(built);
      Cubin.Code loop = Bound.step(built).orElse(new Cubin.Code(0, Map.of()));
      lines.add(
          String.format(
              Locale.ROOT,
              "\"%s\",%d,%d,%d,%d,%d,%d,%d,%d,%.0f,%d,%d,%d,%d,%d,%d,%d,%d,%d",
              built.label(),
              k.architecture(),
              k.registers(),
              k.spills(),
              k.stack(),
              k.staticShared(),
              built.sharedBytes(),
              built.threads(),
              occupancy.blocks(),
              100 * occupancy.warps(),
              k.code().instructions(),
              loop.instructions(),
              loop.count("FFMA"),
              loop.count("DFMA"),
              loop.count("HMMA"),
              loop.count("LDS.128"),
              loop.count("LDSM"),
              loop.count("LDG.128"),
              loop.count("LDGSTS.128")));
    }
    return lines;
  }

  private static List<String> markdown(List<Built> kernels, String nvcc) {
    List<String> lines = new ArrayList<>();
    lines.add("# What the machine code of the CUDA kernels says");
    lines.add("");
    lines.add(
        "**A bound, not a timing.** No GPU took part. Written by `bench/cuda-bounds` from the");
    lines.add("machine code of " + nvcc + "; every kernel and card: `cuda-bounds.csv`.");
    lines.add("");
    lines.add("## The most that the main loops can reach");
    lines.add("");
    lines.add(
        "Clocks of a multiprocessor for one step of one warp, of each thing its warps share, and");
    lines.add(
        "the arithmetic as a fraction of the largest. Not in it: latency, bank conflicts, prologue");
    lines.add(
        "and epilogue, the last wave of blocks. *Shared*: every 16-byte load takes four clocks;");
    lines.add(
        "*merged*: two, where neighbouring lanes have one address (observed by others, documented");
    lines.add(
        "nowhere; the kernels lay their lanes out for it). *Of peak* is with the first, *merged of");
    lines.add(
        "peak* with the second. L2: 64 bytes a clock, nothing hits L1. DRAM: a convolution of 64 to");
    lines.add(
        "64 channels, 3x3. Tensor cores: the card's dense peak, which `mma.sync` does not reach on");
    lines.add("H100. Bounds of kernels in double: `DFMA`.");
    lines.add("");
    lines.add(
        "| kernel | card | math | issue | shared | merged | L2 | DRAM | of peak | merged of peak |"
            + " bound by |");
    lines.add("|---|---|---|---|---|---|---|---|---|---|---|");
    for (Built built : kernels) {
      for (Card card : Bound.CARDS) {
        Optional<Bound> bound =
            card.architecture() == built.kernel().architecture()
                ? Bound.of(built, card)
                : Optional.empty();
        bound.ifPresent(b -> lines.add(row(built, card, b)));
      }
    }
    lines.add("");
    lines.add("## Registers and blocks on a multiprocessor");
    lines.add("");
    lines.add("Registers of a thread / blocks that fit, by compute capability. What spills:");
    lines.add(spilling(kernels) + ".");
    lines.add("");
    TreeSet<Integer> architectures = new TreeSet<>();
    Map<String, List<Built>> byLabel = new LinkedHashMap<>();
    for (Built built : kernels) {
      architectures.add(built.kernel().architecture());
      byLabel.computeIfAbsent(built.label(), label -> new ArrayList<>()).add(built);
    }
    StringBuilder head = new StringBuilder("| kernel | threads | shared bytes |");
    StringBuilder rule = new StringBuilder("|---|---|---|");
    for (int architecture : architectures) {
      head.append(" sm_").append(architecture).append(" |");
      rule.append("---|");
    }
    lines.add(head.toString());
    lines.add(rule.toString());
    byLabel.forEach(
        (label, builds) -> {
          Built first = builds.get(0);
          StringBuilder line =
              new StringBuilder(
                  String.format("| `%s` | %d | %d |", label, first.threads(), first.sharedBytes()));
          for (Built built : builds) {
            line.append(
                String.format(
                    " %d / %d |", built.kernel().registers(), Occupancy.of(built).blocks()));
          }
          lines.add(line.toString());
        });
    return lines;
  }

  private static String spilling(List<Built> kernels) {
    List<String> names =
        kernels.stream()
            .filter(k -> k.kernel().stack() > 0)
            .map(k -> "`" + k + "`, " + k.kernel().stack() + " bytes")
            .toList();
    return names.isEmpty() ? "nothing" : String.join("; ", names);
  }

  private static String row(Built built, Card card, Bound b) {
    return String.format(
        Locale.ROOT,
        "| `%s` | %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f %% | %.0f %% | %s |",
        built.label(),
        card.name(),
        b.math(),
        b.issue(),
        b.shared(),
        b.sharedMerged(),
        b.l2(),
        b.dram(),
        100 * b.fractionOfPeak(),
        100 * b.fractionOfPeakMerged(),
        b.limit());
  }
}
