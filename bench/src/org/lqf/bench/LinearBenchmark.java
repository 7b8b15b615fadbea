package org.lqf.bench;

import java.io.IOException;
import org.lqf.model.Layer;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** Linear layer: GFLOP/s, and the share of the FMA peak. */
@State(Scope.Benchmark)
public class LinearBenchmark extends LayerBenchmark {

  @Param({"resnet18.head", "resnet20.head"})
  public String shape;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    double flops = 2.0 * s.channels() * s.out();
    arithmetic(s, new Layer.Linear(s.channels(), s.out()), flops, 2 * flops, 2 * flops);
  }
}
