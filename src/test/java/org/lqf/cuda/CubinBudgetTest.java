package org.lqf.cuda;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.lqf.cuda.Bound.Card;
import org.lqf.cuda.Kernels.Built;

/**
 * What ptxas made of the kernels in this build, for every architecture that was built: one, or with
 * {@code -Dlqf.cuda.architectures=all} seven.
 */
class CubinBudgetTest {

  private static final Path KEPT = Path.of("target/cmake/nvcc"); // by src/main/cuda/CMakeLists.txt
  private static final int REGISTERS = 64 * 1024; // of a multiprocessor
  private static final int MOST_REGISTERS = 255; // of a thread
  private static final int TENSOR_CORES = 80; // the compute capability that has cp.async too

  /** Checks every kernel whose label has a prefix; there must be one. */
  private static void each(String prefix, Consumer<Built> check) throws IOException {
    assumeTrue(Files.isDirectory(KEPT), "no nvcc in this build: there is no machine code to read");
    List<Executable> checks = new ArrayList<>();
    for (Built built : Kernels.read(KEPT)) {
      if (built.label().startsWith(prefix)) {
        checks.add(() -> check.accept(built));
      }
    }
    assertFalse(checks.isEmpty(), KEPT + " holds no " + prefix);
    assertAll(checks);
  }

  private static Cubin.Code mainLoop(Built built) {
    return Bound.innermost(built)
        .orElseThrow(() -> new AssertionError(built + " has no loop"))
        .code();
  }

  private static void assertCount(int expected, Cubin.Code code, String opcode, Built built) {
    assertEquals(expected, code.count(opcode), () -> built + ": " + opcode + " in " + code);
  }

  @Test
  void noKernelSpillsIndexesRegistersOrTakesAllThereAre() throws IOException {
    each(
        "",
        built -> {
          Cubin.Kernel k = built.kernel();
          assertEquals(0, k.stack() + k.spills(), built::toString);
          assertTrue(k.registers() > 0 && k.registers() < MOST_REGISTERS, built::toString);
        });
  }

  @Test
  void everyLaunchFitsAMultiprocessor() throws IOException {
    each(
        "",
        built -> {
          assertEquals(0, built.kernel().staticShared(), built::toString);
          assertTrue(built.threads() > 0, () -> built + " was never launched by lqf_ptx_tests");
          assertTrue(Occupancy.of(built).blocks() > 0, built::toString);
        });
  }

  @Test
  void noKernelAddsFloatsAtomically() throws IOException {
    each(
        "",
        built ->
            assertEquals(
                0, built.kernel().count("RED") + built.kernel().count("ATOMG"), built::toString));
  }

  /**
   * What a thread makes of a packet: rows of pixels and quads of channels, conv2d_tensor.cuh.
   *
   * @param both y and y_dot
   */
  private record Sums(int rows, int quads, boolean both) {
    static Sums of(Built built) {
      boolean both = Bound.products(built.label()) == 3;
      String tile = built.label().replaceAll(".*,|>", "");
      return switch (tile) {
        case "wide" -> new Sums(8, both ? 1 : 2, both);
        case "middle" -> new Sums(8, 1, both);
        case "narrow32" -> new Sums(both ? 4 : 8, 1, both);
        case "small", "narrow16" -> new Sums(4, 1, both);
        default -> throw new AssertionError("no tile: " + built);
      };
    }

    int products() {
      return (both ? 3 : 1) * rows * quads * 16;
    }

    int loads() {
      return (both ? 2 : 1) * (rows + 4 * quads);
    }
  }

  /** 8 x 8 sums a thread: 16 loads for 256 FFMA; of y and y_dot together 8 x 4 each, 24 for 384. */
  @Test
  void convolutionsInFp32ReadShared16BytesAtATime() throws IOException {
    each(
        "conv2d/conv2d_kernel<fp32",
        built -> {
          Cubin.Code loop = mainLoop(built);
          assertCount(Sums.of(built).products(), loop, "FFMA", built);
          assertCount(Sums.of(built).loads(), loop, "LDS.128", built);
          assertNothingNarrow(loop, built);
          assertTrue(built.kernel().registers() * 256 * 2 <= REGISTERS, built::toString);
          assertCopies(built.kernel().code(), built);
        });
  }

  /** 8 x 8 sums a thread, 16 deep. */
  @Test
  void matrixProductsReadShared16BytesAtATime() throws IOException {
    for (String kernel :
        List.of(
            "conv2d_vjp_w/image_sums_kernel<fp32,16,",
            "gram/partial_kernel",
            "second_moment/partial_kernel",
            "kron_precondition/product_kernel")) {
      each(
          kernel,
          built -> {
            // after an image's last stage a direct one adds its sums to the totals, 16 quads
            int totals = built.label().endsWith("image_sums_kernel<fp32,16,1>") ? 16 : 0;
            assertCount(1024 + 4 * totals, mainLoop(built), "FFMA", built);
            assertCount(64 + totals, mainLoop(built), "LDS.128", built);
            assertCount(0, mainLoop(built), "LDS.32", built);
          });
    }
    each("conv2d_vjp_w/image_sums_kernel<fp32,16,", built -> assertCopies(mainLoop(built), built));
  }

  /** 8 x 4 sums a thread, 16 deep. */
  @Test
  void matrixProductsInDoubleReadShared16BytesAtATime() throws IOException {
    for (String kernel :
        List.of(
            "cholesky/update_kernel",
            "cholesky/panel_kernel",
            "cholesky_inverse/panel_kernel",
            "cholesky_inverse/column_kernel",
            "cholesky_inverse/product_kernel")) {
      each(
          kernel,
          built -> {
            assertCount(512, mainLoop(built), "DFMA", built);
            assertCount(96, mainLoop(built), "LDS.128", built);
            assertCount(0, mainLoop(built), "LDS.64", built);
          });
    }
  }

  /**
   * 64 x 32 sums a warp, of small tiles 32 x 32, in pieces of 16 x 8, one piece deep: 16 a product.
   * What is loaded is multiplied as it is, but for x in tf32; bf16 is stored once a block, 16 bytes
   * at a time.
   */
  @Test
  void tensorCoresAreFedByMatrixLoads() throws IOException {
    for (String precision : List.of("tf32", "bf16")) {
      each(
          "conv2d_" + precision + "/conv2d_kernel<" + precision,
          built -> {
            if (built.kernel().architecture() < TENSOR_CORES) {
              return;
            }
            int products = Bound.products(built.label());
            int sources = products == 1 ? 1 : 2;
            Cubin.Code loop = mainLoop(built);
            int packets = built.label().endsWith(",wide>") ? 2 : 1; // of x, a thread's
            assertCount(8 * packets * products, loop, "HMMA", built);
            assertCount((2 * packets + 2) * sources, loop, "LDSM", built);
            boolean converts = precision.equals("bf16");
            assertCount(converts ? 2 * packets * sources : 0, loop, "LDG.128", built);
            assertCount(converts ? packets * sources : 0, loop, "STS.128", built);
            assertCount(converts ? 1 : 1 + packets * sources, loop, "LDGSTS.128", built);
            assertNothingNarrow(loop, built);
          });
    }
  }

  /**
   * 64 x 64 sums a warp, 16 pixels a stage. tf32 comes by cp.async and is read and rounded as
   * quads, ldmatrix reads bf16 transposed.
   */
  @Test
  void weightGradientsOnTensorCoresReadShared16BytesAtATime() throws IOException {
    for (String precision : List.of("tf32", "bf16")) {
      each(
          "conv2d_vjp_w/image_sums_kernel<" + precision,
          built -> {
            if (built.kernel().architecture() < TENSOR_CORES) {
              return;
            }
            Cubin.Code loop = mainLoop(built);
            boolean isBf16 = precision.equals("bf16");
            assertCount(isBf16 ? 32 : 64, loop, "HMMA", built);
            assertCount(isBf16 ? 8 : 0, loop, "LDSM", built);
            assertCount(isBf16 ? 0 : 16, loop, "LDS.128", built);
            assertCount(isBf16 ? 10 : 0, loop, "LDG.128", built);
            assertCount(isBf16 ? 5 : 0, loop, "STS.128", built);
            assertCount(isBf16 ? 0 : 10, loop, "LDGSTS.128", built);
            assertNothingNarrow(loop, built);
            assertTrue(built.kernel().registers() * 128 * 2 <= REGISTERS, built::toString);
          });
    }
  }

  /**
   * The bound of the document that bench/cuda-bounds writes, where machine code of a card is here.
   * Tensor cores of an H100 ask for more than matrix loads bring.
   */
  @Test
  void convolutionsWithTangentAreBoundedByArithmetic() throws IOException {
    for (String precision : List.of("fp32", "tf32", "bf16")) {
      String file = precision.equals("fp32") ? "conv2d" : "conv2d_" + precision;
      each(
          file + "/conv2d_kernel<" + precision + ",1,1,0,wide>",
          built -> {
            for (Card card : Bound.CARDS) {
              if (card.architecture() == built.kernel().architecture()) {
                Bound bound = Bound.of(built, card).orElseThrow();
                double least = precision.equals("fp32") || card.name().equals("A100") ? 0.8 : 0.65;
                assertTrue(bound.fractionOfPeak() >= least, () -> card + ": " + bound);
              }
            }
          });
    }
  }

  /** However seldom the hardware merges equal addresses, where there are many tiles. */
  @Test
  void sharedMemoryLimitsNoConvolutionInFp32() throws IOException {
    for (String kernel :
        List.of("conv2d/conv2d_kernel<fp32", "conv2d_vjp_w/image_sums_kernel<fp32,16,0>")) {
      each(
          kernel,
          built -> {
            for (Card card : Bound.CARDS) {
              if (card.architecture() == built.kernel().architecture()
                  && Bound.of(built, card).isPresent()) {
                Bound bound = Bound.of(built, card).orElseThrow();
                assertTrue(
                    bound.shared() < Math.max(bound.math(), bound.issue()),
                    () -> built + " on " + card.name() + ": " + bound);
                assertTrue(bound.fractionOfPeak() > 0.75, () -> built + ": " + bound);
              }
            }
          });
    }
  }

  private static void assertNothingNarrow(Cubin.Code loop, Built built) {
    for (String opcode : List.of("LDS.8", "LDS.32", "LDS.64", "LDG.8", "LDG.32", "LDG.64")) {
      assertCount(0, loop, opcode, built);
    }
  }

  private static void assertCopies(Cubin.Code code, Built built) {
    assertTrue(
        built.kernel().architecture() < TENSOR_CORES || code.count("LDGSTS.128") > 0,
        built::toString);
    assertCount(0, code, "LDGSTS.32", built);
  }
}
