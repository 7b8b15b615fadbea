package org.lqf.engine;

import java.util.stream.Stream;

/** The devices that every test of the engine runs on. */
public final class Devices {

  private Devices() {}

  /**
   * All that this machine has; with -Dlqf.emulator=false without the emulator, which a sanitizer
   * makes slow and whose kernels the native tests then cover. A GPU joins where one is; with
   * -Dlqf.require.cuda=true it must be there, or its tests fail.
   */
  public static Stream<String> all() {
    boolean emulator = Boolean.parseBoolean(System.getProperty("lqf.emulator", "true"));
    Stream<String> everywhere =
        emulator ? Stream.of("cpu", "reference", "emulator") : Stream.of("cpu", "reference");
    return Boolean.getBoolean("lqf.require.cuda") || Engine.isAvailable("cuda")
        ? Stream.concat(everywhere, Stream.of("cuda"))
        : everywhere;
  }
}
