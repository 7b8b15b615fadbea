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
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** The three verbs of {@link OneLayer}; a subclass names the shapes, the layer and its work. */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public abstract class LayerBenchmark {

  @Param({"cpu"})
  public String backend;

  @Param({"1", "2"})
  public int threads;

  private OneLayer layer;
  private double forward;
  private double jvp;
  private double vjp;
  private double limit;

  /** For a layer that memory limits; what each verb reads and writes, in sizes of the input. */
  void memory(LayerShape shape, Layer measured, double forward, double jvp, double vjp)
      throws IOException {
    layer = new OneLayer(backend, threads, shape, measured);
    double bytes = 4.0 * OneLayer.IMAGES * shape.inputSize();
    this.forward = forward * bytes;
    this.jvp = jvp * bytes;
    this.vjp = vjp * bytes;
    limit = layer.limits().gigabytes();
  }

  /** For a layer that arithmetic limits; the floating-point operations of each verb an image. */
  void arithmetic(LayerShape shape, Layer measured, double forward, double jvp, double vjp)
      throws IOException {
    layer = new OneLayer(backend, threads, shape, measured);
    this.forward = forward * OneLayer.IMAGES;
    this.jvp = jvp * OneLayer.IMAGES;
    this.vjp = vjp * OneLayer.IMAGES;
    limit = layer.limits().gigaflops();
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
