package org.lqf.bench;

import java.io.IOException;
import org.lqf.model.Layer;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/**
 * Global average: GB/s read and written, and the share of the memory bandwidth. The plan has a
 * second one behind it, over single values.
 */
@State(Scope.Benchmark)
public class GlobalAvgPoolBenchmark extends LayerBenchmark {

  @Param({"resnet18.act1", "resnet18.act4", "resnet20.act1"})
  public String shape;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    memory(s, new Layer.GlobalAvgPool(), 1, 1, 1);
  }
}
