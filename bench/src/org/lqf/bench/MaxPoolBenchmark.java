package org.lqf.bench;

import java.io.IOException;
import org.lqf.model.Layer;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** Max pool: GB/s read and written, and the share of the memory bandwidth. */
@State(Scope.Benchmark)
public class MaxPoolBenchmark extends LayerBenchmark {

  @Param({"resnet18.pool"})
  public String shape;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    // forward writes the places beside the values
    memory(s, new Layer.MaxPool2d(s.kernel(), s.stride(), s.padding()), 1.5, 0.75, 1.5);
  }
}
