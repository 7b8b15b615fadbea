package org.lqf.bench.vendor;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.lqf.bench.LayerShape;
import org.lqf.bench.OneLayer;
import org.lqf.curvature.Damping;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
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
 * Inverses and eigenvectors of a layer's Kronecker factors beside cuSOLVER's potrf + potri and
 * syevd of the same two sides in double, µs until the device is done.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public class KroneckerFactorsOnGpu {

  @Param({
    "resnet18.stem",
    "resnet18.layer1",
    "resnet18.layer2",
    "resnet18.layer4",
    "resnet20.layer3"
  })
  public String shape;

  private Engine engine;
  private Vendor vendor;
  private OneLayer layer;
  private KroneckerFactors factors;
  private DeviceVector gradient;
  private DeviceVector step;
  private CusolverMatrix input;
  private CusolverMatrix output;
  private double[] inputFactor;
  private double[] outputFactor;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    engine = Engine.open("cuda", 1);
    vendor = new Vendor(engine);
    layer = new OneLayer("cuda", 1, s, s.convolution());
    factors = KroneckerFactors.create(layer.plan(), Sharing.EXPAND);
    factors.accumulate(layer.plan(), 1, 1);
    factors.invert(Damping.factored(0.1));
    gradient = layer.vector(layer.plan().parameters()).fill(1);
    step = layer.vector(layer.plan().parameters());
    int in = s.channels() * s.kernel() * s.kernel() + 1;
    input = new CusolverMatrix(vendor, in);
    output = new CusolverMatrix(vendor, s.out());
    inputFactor = dominant(in);
    outputFactor = dominant(s.out());
  }

  /** The factorisations work in place: a fresh matrix each time, which is counted for cuSOLVER. */
  private void write() {
    input.write(inputFactor);
    output.write(outputFactor);
  }

  /** Symmetric and positive definite, not diagonal. */
  private static double[] dominant(int side) {
    double[] entries = new double[side * side];
    for (int i = 0; i < side; i++) {
      for (int j = 0; j < side; j++) {
        entries[i * side + j] = i == j ? 2 : 1.0 / (2 + Math.abs(i - j)) / side;
      }
    }
    return entries;
  }

  @Benchmark
  public void lqfInvert() {
    factors.invert(Damping.factored(0.1));
    layer.synchronise();
  }

  @Benchmark
  public void lqfEigen() {
    factors.invert(Damping.exact(0.1));
    layer.synchronise();
  }

  @Benchmark
  public void lqfPrecondition() {
    factors.precondition(gradient, step);
    layer.synchronise();
  }

  /** What {@link #write} takes, to be subtracted. */
  @Benchmark
  public void cusolverWrite() {
    write();
    engine.synchronise();
  }

  @Benchmark
  public void cusolverInvert() {
    write();
    input.invert();
    output.invert();
    engine.synchronise();
  }

  @Benchmark
  public void cusolverEigen() {
    write();
    input.eigen();
    output.eigen();
    engine.synchronise();
  }

  @TearDown(Level.Trial)
  public void tearDown() {
    input.close();
    output.close();
    gradient.close();
    step.close();
    factors.close();
    layer.close();
    vendor.close();
    engine.close();
  }
}
