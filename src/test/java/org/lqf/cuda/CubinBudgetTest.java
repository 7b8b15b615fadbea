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
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What ptxas made of the kernels in this build, for every architecture that was built. */
class CubinBudgetTest {

  private static final Path KEPT = Path.of("target/cmake/nvcc"); // by src/main/cuda/CMakeLists.txt

  private record Built(String file, Cubin.Kernel kernel) {
    @Override
    public String toString() {
      return file + " " + kernel.name();
    }
  }

  private static List<Built> kernels() throws IOException {
    assumeTrue(Files.isDirectory(KEPT), "no nvcc in this build: there is no machine code to read");
    List<Built> kernels = new ArrayList<>();
    try (Stream<Path> files = Files.list(KEPT)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".cubin")).sorted().toList()) {
        for (Cubin.Kernel kernel : Cubin.read(file)) {
          kernels.add(new Built(String.valueOf(file.getFileName()), kernel));
        }
      }
    }
    assertFalse(kernels.isEmpty(), KEPT + " holds no cubin");
    return kernels;
  }

  private static Stream<Built> convolutions(String precision) throws IOException {
    return kernels().stream().filter(k -> k.kernel.name().contains(precision));
  }

  /**
   * The fp32 convolution with its tangent: two words around the epilogue, outside of its loops, at
   * 128 registers. Without them one block instead of two would fit a multiprocessor.
   */
  private static final String DUAL = "13conv2d_kernelILNS0_9PrecisionE0ELb1ELb1E";

  private static final int DUAL_STACK = 8;

  @Test
  void noKernelSpillsOrIndexesRegisters() throws IOException {
    List<Executable> checks = new ArrayList<>();
    for (Built built : kernels()) {
      Cubin.Kernel k = built.kernel;
      int stack = k.name().contains(DUAL) ? DUAL_STACK : 0;
      int words =
          k.counts().entrySet().stream()
              .filter(count -> count.getKey().startsWith("LDL") || count.getKey().startsWith("STL"))
              .mapToInt(Map.Entry::getValue)
              .sum();
      checks.add(() -> assertTrue(k.stack() <= stack && words <= stack / 2, built + ": " + k));
      checks.add(() -> assertTrue(k.registers() > 0 && k.registers() < 255, built + ": " + k));
    }
    assertAll(checks);
  }

  @Test
  void noKernelAddsFloatsAtomically() throws IOException {
    for (Built built : kernels()) {
      assertEquals(0, built.kernel.count("RED") + built.kernel.count("ATOMG"), built::toString);
    }
  }

  /** The enumerators of Precision: fp32 0, tf32 1, bf16 2, as they stand in mangled names. */
  @Test
  void convolutionsLoadSixteenBytesAtATime() throws IOException {
    List<Built> fp32 = convolutions("13conv2d_kernelILNS0_9PrecisionE0").toList();
    assertFalse(fp32.isEmpty());
    for (Built built : fp32) {
      Cubin.Kernel k = built.kernel;
      assertTrue(k.count("LDS.128") >= 2 * k.count("LDS.32"), built + ": " + k);
      assertTrue(k.count("LDS.128") > 0, built + ": " + k);
      assertTrue(k.count("FFMA") > 10 * k.count("LDS.128"), built + ": " + k);
      assertTrue(k.count("LDGSTS.128") > 0, built + ": " + k);
    }
  }

  @Test
  void tensorCoresAreFedByMatrixLoads() throws IOException {
    for (String precision : List.of("E1", "E2")) {
      List<Built> built = convolutions("13conv2d_kernelILNS0_9Precision" + precision).toList();
      assertFalse(built.isEmpty());
      for (Built one : built) {
        Cubin.Kernel k = one.kernel;
        assertTrue(k.count("HMMA") > 0 && k.count("LDSM") > 0, one + ": " + k);
      }
    }
  }
}
