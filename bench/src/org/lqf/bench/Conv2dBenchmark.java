package org.lqf.bench;

import java.io.IOException;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/**
 * Convolution: GFLOP/s, and the share of the FMA peak (Winograd counts the multiplications that it
 * saves, and may exceed 1).
 */
@State(Scope.Benchmark)
public class Conv2dBenchmark extends LayerBenchmark {

  @Param({
    "resnet18.stem",
    "resnet18.layer1",
    "resnet18.layer2",
    "resnet18.layer3",
    "resnet18.layer4",
    "resnet18.down2",
    "resnet18.down3",
    "resnet18.down4",
    "resnet18.short2",
    "resnet18.short4",
    "resnet20.layer1",
    "resnet20.layer2",
    "resnet20.layer3"
  })
  public String shape;

  @Setup(Level.Trial)
  public void setUp() throws IOException {
    LayerShape s = LayerShape.of(shape);
    double flops = 2 * s.macs();
    // Tangents of input and weights, cotangents of input and weights; the image has neither.
    double both = s.channels() == 3 ? flops : 2 * flops;
    arithmetic(s, s.convolution(), flops, both, both);
  }
}
