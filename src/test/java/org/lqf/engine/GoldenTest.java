package org.lqf.engine;

import static org.lqf.engine.Numbers.assertClose;

import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.model.Backbone;
import org.lqf.model.Safetensors;

/** The verbs of a plan against PyTorch in double precision. */
class GoldenTest {

  private static final double BOUND = 1e-5;
  private static final int N = 5;

  private final Safetensors golden = Goldens.read("kinds-golden");
  private final Backbone backbone = Goldens.kinds().withW0(golden.get("w0").floats());

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void verbsGiveWhatTorchGives(String device) {
    try (Engine engine = Engine.open(device);
        Plan plan = engine.compile(backbone, N);
        DeviceVector out = engine.vector(N * plan.classes());
        DeviceVector gradient = engine.vector(plan.parameters());
        DeviceVector v = engine.vector(golden.get("v").floats());
        DeviceVector u = engine.vector(golden.get("u").floats())) {
      plan.forward(golden.get("images").floats(), N);
      plan.outputs(out.fill(Float.NaN));
      assertClose(golden.get("f0").doubles(), out.toArray(), BOUND, "f0");
      plan.jvp(v, out.fill(Float.NaN));
      assertClose(golden.get("Jv").doubles(), out.toArray(), BOUND, "Jv");
      plan.vjp(u, gradient);
      assertClose(golden.get("JTu").doubles(), gradient.toArray(), BOUND, "Jᵀu");
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void jacobianIsTorchs(String device) {
    double[] expected = golden.get("J").doubles(); // of the first two images
    try (Engine engine = Engine.open(device);
        Plan plan = engine.compile(backbone, N);
        DeviceVector rows = engine.vector(N * plan.classes() * plan.parameters())) {
      plan.forward(golden.get("images").floats(), N);
      plan.jacobian(rows.fill(Float.NaN));
      assertClose(expected, Arrays.copyOf(rows.toArray(), expected.length), BOUND, "J");
    }
  }
}
