package org.lqf.bench;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
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
 * Convolution: GFLOP/s, and the share of the FMA peak (Winograd counts the multiplications that it
 * saves, and may exceed 1).
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public class Conv2dBenchmark {

  @Param({"cpu"})
  public String backend;

  @Param({"1", "2"})
  public int threads;

  @Param({
    "resnet18.stem",
    "resnet18.layer1",
    "resnet18.layer2",
    "resnet18.layer3",
    "resnet18.layer4",
    "resnet18.down2",
    "resnet18.down3",
    "resnet18.down4",
    "resnet18.short2",
    "resnet18.short4",
    "resnet20.layer1",
    "resnet20.layer2",
    "resnet20.layer3"
  })
  public String shape;

  private OneLayer layer;
  private double forward;
  private double jvp;
  private double vjp;
  private double limit;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    layer = new OneLayer(backend, threads, s, s.convolution());
    limit = layer.limits().gigaflops();
    forward = 2 * s.macs() * OneLayer.IMAGES;
    // Tangents of input and weights, cotangents of input and weights; the image has neither.
    jvp = s.channels() == 3 ? forward : 2 * forward;
    vjp = jvp;
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
