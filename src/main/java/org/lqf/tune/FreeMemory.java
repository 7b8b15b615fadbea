package org.lqf.tune;

import java.lang.management.ManagementFactory;

/** How much main memory nobody uses. */
public final class FreeMemory {

  private FreeMemory() {}

  /** Bytes, of the machine or of the container's limit. */
  public static long bytes() {
    var system =
        (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return system.getFreeMemorySize();
  }
}
