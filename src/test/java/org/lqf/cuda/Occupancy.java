package org.lqf.cuda;

import java.util.Map;

/**
 * How many blocks of a kernel a multiprocessor holds: CUDA programming guide, "Compute
 * capabilities"; registers as in NVIDIA's {@code cuda_occupancy.h}.
 *
 * @param blocks of one multiprocessor
 * @param warps of them, as a fraction of the most that it can hold
 */
record Occupancy(int blocks, double warps) {

  private record Multiprocessor(int warps, int blocks, int sharedBytes, int reservedBytes) {}

  private static final int KB = 1024;
  private static final int PARTITIONS = 4; // a warp has its registers in one of them
  private static final int REGISTERS = 16 * KB; // of a partition
  private static final int WARP = 32;
  private static final int ALLOCATION = 256; // registers of a warp come in these
  private static final Map<Integer, Multiprocessor> MULTIPROCESSORS =
      Map.of(
          75, new Multiprocessor(32, 16, 64 * KB, 0),
          80, new Multiprocessor(64, 32, 164 * KB, KB),
          86, new Multiprocessor(48, 16, 100 * KB, KB),
          89, new Multiprocessor(48, 24, 100 * KB, KB),
          90, new Multiprocessor(64, 32, 228 * KB, KB),
          100, new Multiprocessor(64, 32, 228 * KB, KB),
          120, new Multiprocessor(48, 24, 100 * KB, KB));

  /** Zero blocks if the kernel was never launched, or does not fit. */
  static Occupancy of(Kernels.Built built) {
    Multiprocessor m = MULTIPROCESSORS.get(built.kernel().architecture());
    if (m == null) {
      throw new IllegalArgumentException(
          built + ": no figures of this architecture here, add them from the programming guide");
    }
    if (built.threads() == 0) {
      return new Occupancy(0, 0);
    }
    int warps = (built.threads() + WARP - 1) / WARP;
    int registers = (built.kernel().registers() * WARP + ALLOCATION - 1) / ALLOCATION * ALLOCATION;
    int shared = built.sharedBytes() + built.kernel().staticShared() + m.reservedBytes;
    int blocks =
        Math.min(m.blocks, Math.min(m.warps / warps, PARTITIONS * (REGISTERS / registers) / warps));
    if (shared > 0) {
      blocks = Math.min(blocks, m.sharedBytes / shared);
    }
    return new Occupancy(blocks, (double) blocks * warps / m.warps);
  }
}
