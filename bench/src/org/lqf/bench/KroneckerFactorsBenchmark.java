package org.lqf.bench;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.lqf.curvature.Damping;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
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
 * Kronecker factors of a convolution: GFLOP/s of the symmetric products of the input factor (and
 * one reverse pass for the output factor), of their inversion, and shares of the FMA peak.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public class KroneckerFactorsBenchmark {

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
    "resnet20.layer1",
    "resnet20.layer3"
  })
  public String shape;

  @Param({"EXPAND", "REDUCE"})
  public Sharing sharing;

  private OneLayer layer;
  private KroneckerFactors factors;
  private double products;
  private double inversions;
  private double limit;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    layer = new OneLayer(backend, threads, s, s.convolution());
    factors = KroneckerFactors.create(layer.plan(), sharing);
    factors.accumulate(layer.plan(), 1, 1);
    double patch = (double) s.channels() * s.kernel() * s.kernel();
    double positions = sharing == Sharing.EXPAND ? s.macs() / patch / s.out() : 1;
    products = OneLayer.IMAGES * positions * patch * patch; // half of a full product
    inversions = Math.pow(patch + 1, 3) + Math.pow(s.out(), 3);
    limit = layer.limits().gigaflops();
  }

  @Benchmark
  public void accumulate(Rate rate) {
    factors.accumulate(layer.plan(), 1, 1);
    rate.add(products, limit);
  }

  @Benchmark
  public void invert(Rate rate) {
    factors.invert(Damping.factored(0.1));
    rate.add(inversions, limit);
  }

  @TearDown(Level.Trial)
  public void tearDown() {
    factors.close();
    layer.close();
  }
}
