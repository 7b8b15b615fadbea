package org.lqf.baseline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Goldens;
import org.lqf.engine.Numbers;
import org.lqf.engine.Plan;
import org.lqf.image.ImageDataset;
import org.lqf.solve.Checkpoint;
import org.lqf.solve.LeastSquares;
import org.lqf.solve.Progress;
import org.lqf.solve.Sgd;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.TrainingImages;
import org.lqf.tune.TrainingListener;

class DescentTest {

  private static final int[] LABELS = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1};
  private static final int EPOCHS = 6;

  private static TrainingImages samples() {
    ImageDataset images =
        ImageDataset.of(Numbers.normal(LABELS.length * 3 * 13 * 11, 5), LABELS, 3, 13, 11);
    LqfConfig config = LqfConfig.defaults().withBatch(4);
    return new TrainingImages(images, 4, 15, 4, config, TrainingListener.NONE);
  }

  @Test
  void linearisedSquaredErrorIsTheSgdOfTheEngine() throws IOException {
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = engine.compile(Goldens.kinds(), 4);
        LeastSquares problem = new LeastSquares(engine, plan, samples(), 0.1);
        DeviceVector expected = engine.vector(plan.parameters());
        DeviceVector delta = engine.vector(plan.parameters())) {
      new Sgd(EPOCHS, 1e-4, 0.9).solve(problem, null, expected, Progress.NONE, Checkpoint.NONE);
      Descent descent =
          new Descent(
              Descent.Model.LINEARISED,
              Loss.SQUARED_ERROR,
              0.1,
              0.9,
              EPOCHS,
              Descent.decaying(1e-4, EPOCHS));
      double[] losses = descent.run(engine, plan, samples(), null, delta);
      Numbers.assertClose(Numbers.widen(expected.toArray()), delta.toArray(), 1e-5, "displacement");
      assertTrue(losses[EPOCHS - 1] < losses[0]);
    }
  }

  @Test
  void leavesThePlanAtTheMovedWeights() throws IOException {
    float[] image = Numbers.normal(3 * 13 * 11, 9);
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = engine.compile(Goldens.kinds(), 4);
        DeviceVector delta = engine.vector(plan.parameters());
        DeviceVector moved = engine.vector(plan.backbone().w0());
        DeviceVector outputs = engine.vector(4)) {
      Descent descent =
          new Descent(Descent.Model.MOVING, Loss.CROSS_ENTROPY, 0, 0.9, 2, epoch -> 1e-3);
      descent.run(engine, plan, samples(), null, delta);
      plan.forward(image, 1);
      plan.outputs(outputs);
      float[] left = outputs.toArray();
      plan.setParameters(moved.add(1, delta));
      plan.forward(image, 1);
      plan.outputs(outputs);
      assertArrayEquals(left, outputs.toArray());
      assertTrue(delta.norm() > 0);
    }
  }

  @Test
  void saysThatTheRateIsTooLarge() throws IOException {
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = engine.compile(Goldens.kinds(), 4);
        DeviceVector delta = engine.vector(plan.parameters())) {
      Descent descent =
          new Descent(Descent.Model.MOVING, Loss.SQUARED_ERROR, 0, 0.9, 50, epoch -> 10);
      ArithmeticException error =
          assertThrows(
              ArithmeticException.class, () -> descent.run(engine, plan, samples(), null, delta));
      assertTrue(error.getMessage().contains("at learning rate 10"), error.getMessage());
    }
  }
}
