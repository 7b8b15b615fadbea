package org.lqf.engine.op;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.engine.Devices;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.Precision;
import org.lqf.engine.Trial;
import org.lqf.engine.Verbs;
import org.lqf.engine.Winograd;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.Shape;

/** First layers and inner ones, strides with gaps, kernels larger than the image. */
class Conv2dTest extends OpContract {

  @Override
  List<OpCase> shapes() {
    return List.of(
        OpCase.chain(new Shape(3, 7, 7), 0, new Layer.Conv2d(3, 64, 3, 3, 1, 1)),
        OpCase.chain(new Shape(1, 5, 9), 0, new Layer.Conv2d(1, 7, 3, 5, 2, 2)),
        OpCase.chain(new Shape(3, 24, 40), 0, new Layer.Conv2d(3, 16, 3, 3, 1, 1)),
        OpCase.chain(new Shape(3, 9, 7), 13, new Layer.Conv2d(13, 17, 3, 3, 2, 1)),
        OpCase.chain(new Shape(3, 5, 5), 64, new Layer.Conv2d(64, 64, 3, 3, 1, 1)),
        OpCase.chain(new Shape(3, 3, 4), 100, new Layer.Conv2d(100, 13, 1, 1, 1, 0)),
        OpCase.chain(new Shape(3, 7, 5), 17, new Layer.Conv2d(17, 33, 1, 1, 2, 0)),
        OpCase.chain(new Shape(3, 8, 8), 16, new Layer.Conv2d(16, 16, 2, 2, 3, 0)),
        OpCase.chain(new Shape(3, 4, 6), 7, new Layer.Conv2d(7, 3, 1, 3, 1, 1)),
        OpCase.chain(new Shape(3, 5, 3), 13, new Layer.Conv2d(13, 10, 5, 3, 1, 0)),
        OpCase.chain(new Shape(7, 3, 4), 3, new Layer.Conv2d(3, 2, 5, 5, 1, 2)),
        OpCase.chain(new Shape(3, 5, 6), 3, new Layer.Conv2d(3, 4, 7, 7, 2, 3)),
        OpCase.chain(new Shape(70, 1, 1), 2, new Layer.Conv2d(2, 3, 3, 3, 1, 1)),
        OpCase.chain(new Shape(13, 1, 1), 1, new Layer.Conv2d(1, 100, 1, 1, 1, 0)));
  }

  /** On tensor cores, where a device has them. */
  Stream<Arguments> tensorCoreCases() {
    return Devices.all()
        .filter(device -> device.equals("emulator") || device.equals("cuda"))
        .flatMap(
            device ->
                shapes().stream()
                    .flatMap(
                        shape ->
                            Stream.of(
                                Arguments.of(device, Precision.TF32, 1e-3, shape),
                                Arguments.of(device, Precision.BF16, 1e-2, shape))));
  }

  @ParameterizedTest(allowZeroInvocations = true) // sanitizers see no emulator here
  @MethodSource("tensorCoreCases")
  void agreesWithTheOracleOnTensorCores(
      String device, Precision precision, double bound, OpCase shape) {
    Trial normal = shape.normal(SEED);
    oracle("normal", shape, normal).assertClose(run(device, precision, normal), bound);
    Trial integers = shape.integers(SEED);
    oracle("exact", shape, integers).assertExact(run(device, precision, integers));
  }

  @ParameterizedTest(allowZeroInvocations = true)
  @MethodSource("tensorCoreCases")
  void bitsOnTensorCoresDependNeitherOnTheRunNorOnTheBatch(
      String device, Precision precision, double bound, OpCase shape) {
    Trial trial = shape.normal(SEED + 40);
    Verbs together = run(device, precision, trial);
    together.assertSameBits(run(device, precision, trial));
    together.assertSameBits(run(device, precision, trial, 1, 2));
  }

  private static Verbs run(String device, Precision precision, Trial trial, int... batches) {
    try (Engine engine = Engine.open(device, 1, Winograd.F2, precision);
        Plan plan = engine.compile(trial.net(), trial.n())) {
      return batches.length == 0 ? trial.on(engine, plan) : trial.on(engine, plan, batches);
    }
  }

  @Override
  Node odd() {
    return new Node("odd", new Layer.Conv2d(4, 7, 3, 3, 1, 1), Node.INPUT);
  }
}
