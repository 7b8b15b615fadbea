package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.binding.Lqf;

/**
 * What becomes of "cuda" and "auto" where library, driver or card are not as they should be: the
 * emulator stands in for liblqf_cuda.so and says what a driver would. A process asks a device once,
 * so every case has a JVM of its own.
 */
class DeviceChoiceTest {

  private static final String NATIVES = "org/lqf/binding/" + Loader.getPlatform();

  /** Says what this process makes of its devices: why not cuda, the choice, and what auto opens. */
  static final class Child {
    public static void main(String[] args) {
      System.out.println(Engine.unavailabilityCause("cuda").orElse("cuda is available"));
      System.out.println(Engine.choice());
      try (Engine engine = Engine.open("auto", 1);
          DeviceVector x = engine.vector(new float[] {3, 4})) {
        System.out.println(engine.describe());
        System.out.println(x.dot(x));
      }
    }
  }

  @TempDir Path folder;

  private static Path shipped(String file) {
    try {
      String name = Loader.getPlatform() + "/" + file;
      return Path.of(Objects.requireNonNull(Lqf.class.getResource(name), name).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The answer of a child whose liblqf_cuda.so has these bytes, or is not there. */
  private List<String> answer(Optional<byte[]> cuda, String simulated)
      throws IOException, InterruptedException {
    Path natives = Files.createDirectories(folder.resolve(NATIVES));
    for (String file : List.of("liblqf.so", "libjniLqf.so")) {
      Files.copy(shipped(file), natives.resolve(file));
    }
    if (cuda.isPresent()) {
      Files.write(natives.resolve("liblqf_cuda.so"), cuda.get());
    }
    return answer(folder, simulated);
  }

  /** The same where all three come out of a jar, as in a service that has lqf on its class path. */
  private List<String> answerFromJar(byte[] cuda, String simulated)
      throws IOException, InterruptedException {
    Path jar = folder.resolve("natives.jar");
    try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(jar))) {
      for (String file : List.of("liblqf.so", "libjniLqf.so", "liblqf_cuda.so")) {
        out.putNextEntry(new ZipEntry(NATIVES + "/" + file));
        out.write(file.equals("liblqf_cuda.so") ? cuda : Files.readAllBytes(shipped(file)));
      }
    }
    return answer(jar, simulated);
  }

  /** The answer of a child that finds its natives in a folder or jar. */
  private List<String> answer(Path natives, String simulated)
      throws IOException, InterruptedException {
    Path errors = folder.resolve("stderr");
    ProcessBuilder builder =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElse("java"),
                "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
                "-Dorg.bytedeco.javacpp.cachedir=" + folder.resolve("cache"),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                natives + File.pathSeparator + System.getProperty("java.class.path"),
                Child.class.getName())
            .redirectError(errors.toFile());
    String[] card = simulated.split(" ", 2); // and bytes of its memory
    builder.environment().put("LQF_EMULATOR_DEVICE", card[0]);
    if (card.length > 1) {
      builder.environment().put("LQF_EMULATOR_MEMORY", card[1]);
    }
    Process child = builder.start();
    String out = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(child.waitFor(1, TimeUnit.MINUTES));
    assertEquals(0, child.exitValue(), () -> out + errors(errors));
    return out.lines().toList();
  }

  private static String errors(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      return e.toString();
    }
  }

  static Stream<Arguments> faults() throws IOException {
    byte[] library = Files.readAllBytes(shipped("liblqf_emulator.so"));
    int half = library.length / 2;
    return Stream.of(
        Arguments.of(
            "not there",
            Optional.empty(),
            "",
            "this build has no liblqf_cuda.so; build it (README, CUDA) or use device cpu"),
        Arguments.of(
            "empty",
            Optional.of(new byte[0]),
            "",
            "liblqf_cuda.so, 0 bytes, is not a whole library; install or build it again"),
        Arguments.of(
            "text",
            Optional.of("not a library".repeat(9).getBytes(StandardCharsets.UTF_8)),
            "",
            "liblqf_cuda.so, 117 bytes, is not a whole library; install or build it again"),
        Arguments.of(
            "cut in half",
            Optional.of(Arrays.copyOf(library, half)),
            "",
            "liblqf_cuda.so, %d bytes, is not a whole library; install or build it again"
                .formatted(half)),
        Arguments.of(
            "another library",
            Optional.of(Files.readAllBytes(shipped("liblqf.so"))),
            "",
            "liblqf_cuda.so has no function lqf_device_ops, so it is another library; install or "
                + "build it again"),
        Arguments.of(
            "no driver",
            Optional.of(library),
            "no-driver",
            "no NVIDIA driver is installed, needed is one for CUDA 13.0 or newer"),
        Arguments.of(
            "no GPU",
            Optional.of(library),
            "none",
            "the NVIDIA driver finds no GPU; nvidia-smi lists those that it knows"),
        Arguments.of(
            "old driver",
            Optional.of(library),
            "old-driver",
            "the NVIDIA driver is too old: it knows CUDA 12.4, needed is 13.0 or newer; update "
                + "the driver"),
        Arguments.of(
            "old card",
            Optional.of(library),
            "sm_70",
            "emulated sm_70 has compute capability 7.0, needed is 7.5 or newer; use device cpu"),
        Arguments.of(
            "small card",
            Optional.of(library),
            "sm_80 600000000",
            "emulated sm_80 has 0.6 GB of memory, needed is 1 GB or more; use device cpu"),
        Arguments.of(
            "card without free memory",
            Optional.of(library),
            "taken",
            "the GPU does not open, the NVIDIA driver answers: out of memory; nvidia-smi lists who "
                + "uses it"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("faults")
  void autoFallsBackToTheCpuAndSaysWhy(
      String fault, Optional<byte[]> cuda, String simulated, String cause)
      throws IOException, InterruptedException {
    List<String> lines = answer(cuda, simulated);
    assertEquals(4, lines.size(), lines::toString);
    assertEquals(cause, lines.get(0));
    assertEquals("device cpu: no cuda, " + cause, lines.get(1));
    assertTrue(lines.get(2).startsWith("cpu: "), lines::toString);
    assertEquals("25.0", lines.get(3));
  }

  @Test
  void theLibraryComesOutOfAJarToo() throws IOException, InterruptedException {
    byte[] library = Files.readAllBytes(shipped("liblqf_emulator.so"));
    List<String> lines = answerFromJar(library, "sm_80");
    assertEquals(List.of("cuda is available", "device cuda"), lines.subList(0, 2));
    assertEquals("25.0", lines.get(3));
    try (Stream<Path> unpacked = Files.walk(folder.resolve("cache"))) {
      assertTrue(unpacked.anyMatch(file -> file.endsWith(NATIVES + "/liblqf_cuda.so")));
    }
  }

  @Test
  void theLibraryThatNvccMadeAnswersOutOfAJarAsItDoesHere()
      throws IOException, InterruptedException {
    assumeTrue(
        Lqf.class.getResource(Loader.getPlatform() + "/liblqf_cuda.so") != null,
        "built without nvcc");
    List<String> lines = answerFromJar(Files.readAllBytes(shipped("liblqf_cuda.so")), "");
    assertEquals(Engine.unavailabilityCause("cuda").orElse("cuda is available"), lines.get(0));
    assertEquals(Engine.choice(), lines.get(1));
    assertEquals("25.0", lines.get(3));
  }

  @Test
  void autoTakesTheCardWhereAllIsWell() throws IOException, InterruptedException {
    byte[] library = Files.readAllBytes(shipped("liblqf_emulator.so"));
    List<String> lines = answer(Optional.of(library), "sm_80");
    assertEquals(List.of("cuda is available", "device cuda"), lines.subList(0, 2));
    assertTrue(lines.get(2).contains("emulated sm_80, compute capability 8.0"), lines::toString);
    assertEquals("25.0", lines.get(3));
  }
}
