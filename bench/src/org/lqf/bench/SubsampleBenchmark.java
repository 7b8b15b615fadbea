package org.lqf.bench;

import java.io.IOException;
import org.lqf.model.Layer;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** Shortcut without parameters: GB/s read and written, and the share of the memory bandwidth. */
@State(Scope.Benchmark)
public class SubsampleBenchmark extends LayerBenchmark {

  @Param({"resnet20.short2"})
  public String shape;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    int padding = (s.out() - s.channels()) / 2;
    memory(s, new Layer.SubsamplePadChannels(s.stride(), padding, padding), 0.75, 0.75, 1.25);
  }
}
