package org.lqf.baseline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.lqf.engine.Numbers.assertClose;

import java.io.IOException;
import java.util.Locale;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Goldens;
import org.lqf.engine.Plan;
import org.lqf.model.Safetensors;
import org.lqf.solve.Samples;

/** Ordinary fine-tuning against five steps of PyTorch in double precision. */
class DescentGoldenTest {

  private static final Safetensors GOLDEN = Goldens.read("nlft5");
  private static final Safetensors DATA = Goldens.read("ridge");
  private static final int IMAGES = 12;

  private static double number(String name) {
    return Double.parseDouble(GOLDEN.metadata().get(name));
  }

  /** All images in every step. */
  private static Samples samples() {
    float[] images = DATA.get("images").floats();
    double[] targets = DATA.get("targets").doubles();
    float[] y = new float[targets.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = (float) targets[i];
    }
    return new Samples() {
      @Override
      public int size() {
        return IMAGES;
      }

      @Override
      public void forEach(int pass, Visitor visitor) {
        visitor.visit(images, IMAGES, y);
      }
    };
  }

  @ParameterizedTest
  @CsvSource({
    "cpu, CROSS_ENTROPY",
    "cpu, SQUARED_ERROR",
    "reference, CROSS_ENTROPY",
    "reference, SQUARED_ERROR"
  })
  void fiveStepsAreThoseOfPyTorch(String device, Loss loss) throws IOException {
    String name = loss.name().toLowerCase(Locale.ROOT);
    double rate = number(name + "_rate");
    int steps = (int) number("steps");
    Descent descent =
        new Descent(Descent.Model.MOVING, loss, 0, number("momentum"), steps, epoch -> rate);
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(Goldens.kinds(), IMAGES);
        DeviceVector delta = engine.vector(plan.parameters())) {
      double[] losses = descent.run(engine, plan, samples(), null, delta);
      double[] expected = GOLDEN.get(name + ".losses").doubles();
      for (int step = 0; step < steps; step++) {
        assertEquals(expected[step], losses[step], 1e-5 * expected[step], "loss " + step);
      }
      double[] moved = GOLDEN.get(name + ".final").doubles();
      float[] initial = GOLDEN.get("initial").floats();
      for (int i = 0; i < moved.length; i++) {
        moved[i] -= initial[i];
      }
      assertClose(moved, delta.toArray(), 1e-5, "displacement");
    }
  }
}
