package org.lqf.cli;

import org.lqf.engine.Engine;
import org.lqf.engine.Precision;
import org.lqf.engine.Winograd;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** Where to compute. Results do not depend on the number of threads. */
final class EngineOptions {

  @Option(
      names = "--device",
      paramLabel = "NAME",
      description =
          "auto (cuda where a GPU can be used, else cpu), cuda, cpu; for checking: reference (plain "
              + "loops in double, slow), emulator (the GPU's kernels on the CPU, slow). "
              + "Default: ${DEFAULT-VALUE}.")
  private String device = "auto";

  @Option(
      names = "--precision",
      paramLabel = "NAME",
      description =
          "Of the products in convolutions: fp32, or tf32 or bf16 on the tensor cores of a GPU. "
              + "Default: ${DEFAULT-VALUE}.")
  private Precision precision = Precision.FP32;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description =
          "Threads to compute with; the result is the same, bit for bit. Default: the processors "
              + "this process may use (${DEFAULT-VALUE}).")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(
      names = "--winograd",
      paramLabel = "M",
      description =
          "How 3x3 convolutions, and 7x7 ones of an image, are summed: 2 (F(2,3)), 4 (F(4,3): "
              + "faster, about 4 times the rounding error) or off (plainly). Default: ${DEFAULT-VALUE}.")
  private String winograd = "2";

  int threads() {
    return threads;
  }

  Engine open(CommandSpec command) {
    try {
      return Engine.open(device, threads, Winograd.of(winograd), precision);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), e.getMessage(), e);
    }
  }

  /** One line for people: the device and, where nobody named one, why this one was taken. */
  String describe(Engine engine) {
    return engine.describe() + (device.equals("auto") ? "; auto took " + Engine.choice() : "");
  }

  /** The device's name alone, such as "cpu". */
  static String name(Engine engine) {
    String text = engine.describe();
    return text.substring(0, text.indexOf(':'));
  }
}
