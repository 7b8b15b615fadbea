package org.lqf.bench;

import java.io.IOException;
import java.util.Random;
import java.util.concurrent.TimeUnit;
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
 * K = JJᵀ and its Cholesky factor: GFLOP/s of the half that symmetry leaves (of rows with others:
 * of all), and the share of the FMA peak of float. Sums of products are kept in double, and so is
 * the factorisation, whose peak is half of it.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public class SymmetricMatrixBenchmark {

  @Param({"cpu"})
  public String backend;

  @Param({"1", "2"})
  public int threads;

  /** Of J: the images times the classes but one. */
  @Param({"360", "1800"})
  public int rows;

  /** Whose weights a row is long. */
  @Param({"resnet20.layer1", "resnet20.layer3"})
  public String shape;

  private Engine engine;
  private DeviceVector a;
  private DeviceVector b;
  private SymmetricMatrix matrix;
  private int length;
  private double limit;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    length = s.out() * s.channels() * s.kernel() * s.kernel();
    engine = Engine.open(backend, threads);
    Random random = new Random(1);
    int floats = Math.multiplyExact(rows, length);
    a = engine.vector(OneLayer.normal(random, floats));
    b = engine.vector(OneLayer.normal(random, floats));
    matrix = engine.matrix(2 * rows);
    limit = Limits.of(backend, threads).gigaflops();
  }

  @Benchmark
  public void gram(Rate rate) {
    matrix.gram(0, a, rows, 0, a, rows, length);
    engine.synchronise();
    rate.add(length * (double) rows * (rows + 1), limit);
  }

  @Benchmark
  public void gramOfTwo(Rate rate) {
    matrix.gram(0, a, rows, rows, b, rows, length);
    engine.synchronise();
    rate.add(2.0 * length * rows * rows, limit);
  }

  /** A matrix is factorised once: one for each time, made when nothing is timed. */
  @State(Scope.Thread)
  public static class Fresh {
    private SymmetricMatrix matrix;

    @Setup(Level.Invocation)
    public void setUp(SymmetricMatrixBenchmark of) {
      matrix = of.engine.matrix(of.rows).gram(0, of.a, of.rows, 0, of.a, of.rows, of.length);
      of.engine.synchronise();
    }

    @TearDown(Level.Invocation)
    public void tearDown() {
      matrix.close();
    }
  }

  @Benchmark
  public void cholesky(Fresh fresh, Rate rate) {
    fresh.matrix.cholesky(length);
    engine.synchronise();
    rate.add(Math.pow(rows, 3) / 3, limit);
  }

  @TearDown(Level.Trial)
  public void tearDown() {
    matrix.close();
    a.close();
    b.close();
    engine.close();
  }
}
