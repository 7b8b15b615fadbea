package org.lqf.tune;

import java.util.List;
import java.util.OptionalLong;

/**
 * How a training will run and what it will need, said before it does.
 *
 * <p>Bytes come from what the engine would allocate for this network, seconds from a few images
 * that were sent through it; both are of this machine, now. How many passes the conjugate gradients
 * take depends on the data: counted is what {@link SolverChoice} says is usual.
 *
 * @param solver never AUTO
 * @param reason why that one, a sentence without its full stop
 * @param batch the most images that are in the network together
 * @param imagesHeld whether prepared images stay in memory; else each pass decodes them anew
 * @param baseBytes resident memory of the process whatever it does
 * @param stages in their order
 * @param budget that was asked for, in bytes
 */
public record TuningPlan(
    Solver solver,
    String reason,
    int batch,
    boolean imagesHeld,
    long baseBytes,
    List<Stage> stages,
    OptionalLong budget) {

  /**
   * One part of the work.
   *
   * @param bytes that it holds beyond {@link TuningPlan#baseBytes}
   */
  public record Stage(String name, long bytes, double seconds) {}

  public TuningPlan {
    stages = List.copyOf(stages);
  }

  /** The most resident memory of the process. */
  public long peakBytes() {
    return baseBytes + stages.stream().mapToLong(Stage::bytes).max().orElse(0);
  }

  public double seconds() {
    return stages.stream().mapToDouble(Stage::seconds).sum();
  }
}
