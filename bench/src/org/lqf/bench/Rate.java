package org.lqf.bench;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/**
 * What JMH prints beside operations per second: the rate of useful work (GFLOP/s or GB/s) and its
 * share of the CPU's limit that was measured in the same run (1 is the limit; traffic that stays in
 * caches may exceed that of main memory); NaN for another device.
 */
@State(Scope.Thread)
@AuxCounters(AuxCounters.Type.OPERATIONS)
public class Rate {
  public double giga;
  public double shareOfLimit;

  @Setup(Level.Iteration)
  public void reset() {
    giga = 0;
    shareOfLimit = 0;
  }

  /** Counts one operation. */
  void add(double operations, double limit) {
    giga += operations / 1e9;
    shareOfLimit += operations / 1e9 / limit;
  }
}
