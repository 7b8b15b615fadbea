package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which devices there are, and what an engine says of itself. */
class EngineTest {

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void theDevicesOfThisMachineOpen(String device) {
    assertTrue(Engine.isAvailable(device));
    assertEquals(Optional.empty(), Engine.unavailabilityCause(device));
    try (Engine engine = Engine.open(device, 3);
        Engine all = Engine.open(device)) {
      String line = engine.describe();
      assertTrue(line.startsWith(device + ": "), line);
      assertTrue(line.endsWith("3 threads"), line);
      assertFalse(line.contains("\n"));
      assertEquals(line, engine.toString());
      int processors = Runtime.getRuntime().availableProcessors();
      String threads = processors + (processors == 1 ? " thread" : " threads");
      assertTrue(all.describe().endsWith(", " + threads), all.describe());
    }
  }

  @Test
  void autoTakesCudaWhereItIsAvailableAndSaysWhyNot() {
    Optional<String> cause = Engine.unavailabilityCause("cuda");
    try (Engine engine = Engine.open("auto", 1)) {
      String taken = cause.isEmpty() ? "cuda" : "cpu";
      assertTrue(engine.describe().startsWith(taken + ": "), engine.describe());
      assertTrue(Engine.choice().startsWith("device " + taken), Engine.choice());
      assertFalse(Engine.choice().contains("\n"));
      cause.ifPresent(text -> assertEquals("device cpu: no cuda, " + text, Engine.choice()));
    }
  }

  @Test
  void aDeviceThatIsNotThereIsRefusedWithTheReason() {
    Engine.unavailabilityCause("cuda")
        .ifPresent(
            cause -> {
              LqfException e = assertThrows(LqfException.class, () -> Engine.open("cuda"));
              assertEquals(LqfException.Status.UNAVAILABLE, e.status());
              assertEquals("device cuda: " + cause, e.getMessage());
            });
  }

  @Test
  void winogradIsToldWhereItIsNotTheDefault() {
    for (Winograd winograd : Winograd.values()) {
      assertEquals(winograd, Winograd.of(winograd.toString()));
      try (Engine engine = Engine.open("cpu", 1, winograd, Precision.FP32)) {
        String line = engine.describe();
        assertEquals(winograd == Winograd.OFF, line.contains("no Winograd"), line);
        assertEquals(winograd == Winograd.F4, line.contains("F(4,3)"), line);
      }
    }
    assertEquals(
        "unknown winograd \"3\", expected off, 2 or 4",
        assertThrows(IllegalArgumentException.class, () -> Winograd.of("3")).getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"tpu", "", "CPU", "cpu "})
  void anUnknownDeviceIsRefusedByName(String device) {
    assertFalse(Engine.isAvailable(device));
    String cause = Engine.unavailabilityCause(device).orElseThrow();
    String expected =
        "unknown device \"%s\", expected auto, cuda, cpu, emulator, reference".formatted(device);
    assertEquals(expected, cause);
    assertEquals(
        expected,
        assertThrows(IllegalArgumentException.class, () -> Engine.open(device)).getMessage());
  }

  @ParameterizedTest
  @ValueSource(ints = {0, -1, Integer.MIN_VALUE, 1025})
  void aWrongNumberOfThreadsIsRefused(int threads) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Engine.open("cpu", threads).close())
            .getMessage();
    assertEquals("threads is %d, expected 1 to 1024".formatted(threads), message);
  }

  @Test
  void memoryIsCountedUntilItIsFreed() {
    try (Engine engine = Engine.open("cpu", 1)) {
      assertEquals(0, engine.memoryBytes());
      DeviceVector vector = engine.vector(1000);
      assertEquals(4000, engine.memoryBytes());
      SymmetricMatrix matrix = engine.matrix(10);
      assertEquals(4800, engine.memoryBytes());
      vector.close();
      matrix.close();
      assertEquals(0, engine.memoryBytes());
      Plan plan = engine.compile(Goldens.kinds(), 2);
      long shared = plan.sharedMemoryBytes();
      assertEquals(plan.memoryBytes() + shared, engine.memoryBytes());
      plan.close();
      assertEquals(shared, engine.memoryBytes(), "scratch stays for the next plan");
      Plan wider = engine.compile(Goldens.kinds(), 20);
      long grown = wider.sharedMemoryBytes();
      assertTrue(grown > shared);
      assertEquals(wider.memoryBytes() + grown, engine.memoryBytes(), "scratch grows");
      wider.close();
    }
  }

  @Test
  void twoEnginesLiveSideBySide() {
    try (Engine one = Engine.open("cpu", 2);
        Engine two = Engine.open("reference", 1);
        DeviceVector x = one.vector(new float[] {1, 2});
        DeviceVector y = two.vector(new float[] {3, 4})) {
      assertEquals(5, x.dot(x));
      assertEquals(25, y.dot(y));
      assertEquals(8, one.memoryBytes());
      assertEquals(8, two.memoryBytes());
    }
  }
}
