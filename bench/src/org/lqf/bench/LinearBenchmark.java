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

/** Linear layer: GFLOP/s, and the share of the FMA peak. */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public class LinearBenchmark {

  @Param({"cpu"})
  public String backend;

  @Param({"1", "2"})
  public int threads;

  @Param({"resnet18.head", "resnet20.head"})
  public String shape;

  private OneLayer layer;
  private double forward;
  private double jvp;
  private double vjp;
  private double limit;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    layer = new OneLayer(backend, threads, s, new Layer.Linear(s.channels(), s.out()));
    limit = layer.limits().gigaflops();
    forward = 2.0 * s.channels() * s.out() * OneLayer.IMAGES;
    jvp = 2 * forward;
    vjp = 2 * forward;
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
