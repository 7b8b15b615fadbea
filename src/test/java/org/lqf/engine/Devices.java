package org.lqf.engine;

import java.util.stream.Stream;

/** The devices that every test of the engine runs on. */
public final class Devices {

  private Devices() {}

  /**
   * All that this machine has. A GPU joins where one is; with -Dlqf.require.cuda=true it must be
   * there, or its tests fail.
   */
  public static Stream<String> all() {
    Stream<String> everywhere = Stream.of("cpu", "reference", "emulator");
    return Boolean.getBoolean("lqf.require.cuda") || Engine.isAvailable("cuda")
        ? Stream.concat(everywhere, Stream.of("cuda"))
        : everywhere;
  }
}
