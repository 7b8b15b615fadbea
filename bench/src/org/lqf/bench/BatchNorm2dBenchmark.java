package org.lqf.bench;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.lqf.model.Layer;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Batch norm as training has it, by the mean and the variance of the batch: GB/s read and written,
 * and the share of the memory bandwidth. It has no tangent: networks to linearise have it folded.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public class BatchNorm2dBenchmark {

  private static final double EPSILON = 1e-5;

  @Param({"cpu"})
  public String backend;

  @Param({"1", "2"})
  public int threads;

  @Param({"resnet18.act1", "resnet18.act4", "resnet20.act1"})
  public String shape;

  private OneLayer layer;
  private double bytes; // of the input

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    layer = new OneLayer(backend, threads, s, new Layer.BatchNorm2d(s.channels(), EPSILON));
    bytes = 4.0 * OneLayer.IMAGES * s.inputSize();
  }

  /** Reads its input for the sums and once more, and writes. */
  @Benchmark
  public void forward(Rate rate) {
    layer.forward();
    rate.add(3 * bytes, layer.limits().gigabytes());
  }

  /** Reads input and cotangent twice, and writes. */
  @Benchmark
  public void vjp(Rate rate) {
    layer.vjp();
    rate.add(5 * bytes, layer.limits().gigabytes());
  }

  @TearDown(Level.Trial)
  public void tearDown() {
    layer.close();
  }
}
