package org.lqf.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.concurrent.TimeUnit;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;
import org.lqf.model.Resnets;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Calls with the caller's buffers on a small network, one image: to be run with {@code -prof gc},
 * whose gc.alloc.rate.norm says what a call allocates on the Java heap.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 3, time = 2)
@Fork(1)
@State(Scope.Benchmark)
public class HotPathBenchmark {

  private Engine engine;
  private Plan plan;
  private float[] image;
  private FloatBuffer direct;
  private float[] scores;
  private DeviceVector delta;
  private DeviceVector gradient;
  private DeviceVector outputs;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    Backbone backbone = Resnets.cifar(8, 0.1f, 10, 1).withInputSize(8, 8);
    engine = Engine.open("cpu", 1);
    plan = engine.compile(backbone, 1);
    image = new float[backbone.input().shape().size()];
    direct =
        ByteBuffer.allocateDirect(4 * image.length).order(ByteOrder.nativeOrder()).asFloatBuffer();
    scores = new float[plan.classes()];
    delta = engine.vector(plan.parameters()).fill(0.01);
    gradient = engine.vector(plan.parameters());
    outputs = engine.vector(plan.classes()).fill(1);
    plan.forward(image, 1);
  }

  @Benchmark
  public void forward() {
    plan.forward(image, 1);
  }

  @Benchmark
  public void forwardDirect() {
    plan.forward(direct, 1);
  }

  @Benchmark
  public void jvp() {
    plan.jvp(delta, outputs);
  }

  @Benchmark
  public void vjp() {
    plan.vjp(outputs, gradient);
  }

  @Benchmark
  public float[] predict() {
    plan.predict(delta, image, 1, scores);
    return scores;
  }

  @Benchmark
  public void add() {
    gradient.add(0.5, delta);
  }

  @Benchmark
  public double dot() {
    return gradient.dot(delta);
  }

  @TearDown(Level.Trial)
  public void tearDown() {
    plan.close();
    delta.close();
    gradient.close();
    outputs.close();
    engine.close();
  }
}
