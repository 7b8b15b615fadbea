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

/** Average pool: GB/s read and written, and the share of the memory bandwidth. */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public class AvgPoolBenchmark {

  @Param({"cpu"})
  public String backend;

  @Param({"1", "2"})
  public int threads;

  @Param({"resnet18.pool"})
  public String shape;

  private OneLayer layer;
  private double forward;
  private double jvp;
  private double vjp;
  private double limit;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    layer =
        new OneLayer(backend, threads, s, new Layer.AvgPool2d(s.kernel(), s.stride(), s.padding()));
    limit = layer.limits().gigabytes();
    double read = 4.0 * OneLayer.IMAGES * s.inputSize();
    forward = read * 1.25;
    jvp = read * 1.25;
    vjp = read * 1.25;
  }

  @Benchmark
  public void forward(Rate rate) {
    layer.forward();
    rate.add(forward, limit);
  }

  @Benchmark
  public void jvp(Rate rate) {
    layer.jvp();
    rate.add(jvp, limit);
  }

  @Benchmark
  public void vjp(Rate rate) {
    layer.vjp();
    rate.add(vjp, limit);
  }

  @TearDown(Level.Trial)
  public void tearDown() {
    layer.close();
  }
}
