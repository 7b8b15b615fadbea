package org.lqf.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.openjdk.jmh.results.ScalarResult;

/** The clocks beside a row, with a shell in the place of nvidia-smi. */
class GpuClocksTest {

  /** A GPU that says one line for 150 ms and another one from then on, every 10 ms. */
  private static GpuClocks saying(String first, String then) {
    String script =
        "for i in $(seq 15); do echo \"$1\"; sleep 0.01; done;"
            + "for i in $(seq 300); do echo \"$2\"; sleep 0.01; done";
    return new GpuClocks(List.of("sh", "-c", script, "sh", first, then));
  }

  private static GpuClocks saying(String always) {
    return saying(always, always);
  }

  private static Map<String, Double> iteration(GpuClocks clocks) throws InterruptedException {
    clocks.begin();
    Thread.sleep(300);
    return clocks.end().stream()
        .collect(Collectors.toMap(ScalarResult::getLabel, ScalarResult::getScore));
  }

  @Test
  void clocksThatStayAreSteady() throws InterruptedException {
    GpuClocks clocks = saying("1755, 2619, 0x0000000000000000");
    assertEquals(
        Map.of("clocks.sm.min", 1755.0, "clocks.sm.max", 1755.0, "clocks.steady", 1.0),
        iteration(clocks));
    assertEquals(1.0, iteration(clocks).get("clocks.steady"));
  }

  @Test
  void clocksThatFallAreNotAndNeitherIsWhatFollowsAtTheLowerOnes() throws InterruptedException {
    GpuClocks clocks = saying("1755, 2619, 0x0000000000000000", "1500, 2619, 0x0000000000000000");
    assertEquals(
        Map.of("clocks.sm.min", 1500.0, "clocks.sm.max", 1755.0, "clocks.steady", 0.0),
        iteration(clocks));
    assertEquals(0.0, iteration(clocks).get("clocks.steady"));
  }

  @Test
  void aCardThatIsTooHotIsNotSteadyEither() throws InterruptedException {
    assertEquals(0.0, iteration(saying("1755, 2619, 0x0000000000000020")).get("clocks.steady"));
    assertEquals( // idle, or clocks that somebody has set
        1.0, iteration(saying("1755, 2619, 0x0000000000000003")).get("clocks.steady"));
  }

  @Test
  void withoutClocksThereIsNoRow() {
    GpuClocks silent = new GpuClocks(List.of("true"));
    assertThrows(IllegalStateException.class, silent::begin);
    assertThrows(
        IllegalArgumentException.class, () -> GpuClocks.Sample.of("No devices were found"));
  }
}
