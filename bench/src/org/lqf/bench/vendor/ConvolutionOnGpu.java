package org.lqf.bench.vendor;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.lqf.bench.LayerShape;
import org.lqf.bench.OneLayer;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Precision;
import org.lqf.model.Layer;
import org.lqf.model.Shape;
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
 * Our convolution beside cuDNN's, µs a batch until the device is done. Ours is a plan of one layer
 * ({@link OneLayer}: import, widening and mean are counted as its time); vjp is both cotangents. Of
 * bf16 cuDNN has nothing for tensors of floats: there ours stands alone.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
@State(Scope.Benchmark)
public class ConvolutionOnGpu {

  @Param({
    "resnet18.stem",
    "resnet18.layer1",
    "resnet18.layer2",
    "resnet18.layer3",
    "resnet18.layer4",
    "resnet18.down2",
    "resnet18.short2",
    "resnet20.layer1",
    "resnet20.layer3"
  })
  public String shape;

  @Param public Precision precision;

  private OneLayer layer;
  private Engine engine;
  private Vendor vendor;
  private CudnnConvolution cudnn;
  private DeviceVector x;
  private DeviceVector w;
  private DeviceVector y;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    Layer.Conv2d conv = s.convolution();
    engine = Engine.open("cuda", 1);
    vendor = new Vendor(engine);
    layer = new OneLayer("cuda", 1, precision, s, conv);
    cudnn = new CudnnConvolution(vendor, precision, conv, s.side(), OneLayer.IMAGES);
    Shape out = conv.outputShape(List.of(new Shape(s.channels(), s.side(), s.side())));
    x = engine.vector((long) OneLayer.IMAGES * s.inputSize()).fill(1);
    y = engine.vector((long) OneLayer.IMAGES * out.size()).fill(1);
    w = engine.vector((long) s.out() * s.channels() * s.kernel() * s.kernel()).fill(0.01);
  }

  @Benchmark
  public void lqfForward() {
    layer.forward();
  }

  @Benchmark
  public void lqfJvp() {
    layer.jvp();
  }

  @Benchmark
  public void lqfVjp() {
    layer.vjp();
  }

  @Benchmark
  public void cudnnForward() {
    cudnn.forward(x, w, y);
    engine.synchronise();
  }

  @Benchmark
  public void cudnnBackwardData() {
    cudnn.backwardData(w, y, x);
    engine.synchronise();
  }

  @Benchmark
  public void cudnnBackwardFilter() {
    cudnn.backwardFilter(x, y, w);
    engine.synchronise();
  }

  @TearDown(Level.Trial)
  public void tearDown() {
    cudnn.close();
    layer.close();
    x.close();
    y.close();
    w.close();
    vendor.close();
    engine.close();
  }
}
