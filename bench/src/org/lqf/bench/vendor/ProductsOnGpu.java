package org.lqf.bench.vendor;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.lqf.bench.LayerShape;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.SymmetricMatrix;
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
 * Products of matrices beside cuBLAS, fp32, µs until the device is done. Gram: ours sums blocks in
 * double and makes half of it, cuBLAS sums in float and makes all. Precondition: two products a
 * layer, of the sides that a shape's Kronecker factors have. Linear: the batch times the weights.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public class ProductsOnGpu {

  private static final int ROWS = 256;
  private static final int IMAGES = 64;

  @Param({"resnet18.layer1", "resnet18.layer4", "resnet18.head", "resnet20.layer3"})
  public String shape;

  private Engine engine;
  private Vendor vendor;
  private Cublas cublas;
  private int out;
  private int in;
  private DeviceVector rows;
  private DeviceVector product;
  private DeviceVector left;
  private DeviceVector right;
  private DeviceVector gradient;
  private DeviceVector step;
  private DeviceVector images;
  private SymmetricMatrix gram;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    out = s.out();
    in = s.channels() * Math.max(1, s.kernel() * s.kernel()) + 1;
    engine = Engine.open("cuda", 1);
    vendor = new Vendor(engine);
    cublas = new Cublas(vendor);
    long parameters = (long) out * in;
    rows = engine.vector(ROWS * parameters).fill(0.5);
    product = engine.vector((long) ROWS * ROWS);
    left = engine.vector((long) out * out).fill(0.5);
    right = engine.vector((long) in * in).fill(0.5);
    gradient = engine.vector(parameters).fill(0.5);
    step = engine.vector(parameters);
    images = engine.vector((long) IMAGES * Math.max(in, out)).fill(0.5);
    gram = engine.matrix(ROWS);
  }

  @Benchmark
  public void lqfGram() {
    gram.gram(0, rows, ROWS, 0, rows, ROWS, out * in);
    engine.synchronise();
  }

  @Benchmark
  public void cublasGram() {
    cublas.multiplyTransposed(ROWS, ROWS, out * in, rows, rows, product);
    engine.synchronise();
  }

  /** The two products of {@code kron_precondition}; ours is KroneckerFactorsOnGpu.precondition. */
  @Benchmark
  public void cublasPrecondition() {
    cublas.multiply(out, in, out, left, gradient, step);
    cublas.multiply(out, in, in, step, right, gradient);
    engine.synchronise();
  }

  /** Ours is LinearBenchmark with backend=cuda. */
  @Benchmark
  public void cublasLinear() {
    cublas.multiplyTransposed(IMAGES, out, in, images, gradient, step);
    engine.synchronise();
  }

  @TearDown(Level.Trial)
  public void tearDown() {
    gram.close();
    for (DeviceVector v : new DeviceVector[] {rows, product, left, right, gradient, step, images}) {
      v.close();
    }
    vendor.close();
    engine.close();
  }
}
