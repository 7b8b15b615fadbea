package org.lqf.curvature;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.lqf.engine.Numbers.assertClose;

import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Devices;
import org.lqf.engine.Engine;
import org.lqf.engine.Goldens;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;
import org.lqf.model.Safetensors;

/** Factors, preconditioning and five steps of the paper's solver against PyTorch in double. */
class KroneckerFactorsGoldenTest {

  private static final double BOUND = 1e-5;
  private static final int N = 5;

  private final Safetensors golden = Goldens.read("kinds-golden");
  private final Backbone backbone = Goldens.kinds().withW0(golden.get("w0").floats());

  static Stream<Arguments> devicesAndSharings() {
    return Devices.all()
        .flatMap(device -> Stream.of(Sharing.values()).map(s -> Arguments.of(device, s)));
  }

  @ParameterizedTest
  @MethodSource("devicesAndSharings")
  void factorsAndPreconditionedGradientsAreTorchs(String device, Sharing sharing) {
    String prefix = sharing.name().toLowerCase(Locale.ROOT) + ".";
    double damping = Double.parseDouble(golden.metadata().get("damping"));
    try (Engine engine = Engine.open(device);
        Plan plan = engine.compile(backbone, N);
        DeviceVector gradient = engine.vector(plan.parameters());
        DeviceVector step = engine.vector(plan.parameters());
        DeviceVector u = engine.vector(golden.get("u").floats());
        KroneckerFactors factors = KroneckerFactors.create(plan, sharing)) {
      plan.forward(golden.get("images").floats(), N);
      factors.accumulate(plan);
      assertEquals(N, factors.samples());
      for (int layer = 0; layer < factors.layers().size(); layer++) {
        String name = factors.layers().get(layer);
        double[] a = golden.get(prefix + name + ".A").doubles();
        double[] gamma = golden.get(prefix + name + ".Gamma").doubles();
        assertClose(a, factors.input(layer), BOUND, name + " A");
        if (layer < factors.layers().size() - 1) {
          assertClose(gamma, factors.output(layer), BOUND, name + " Γ");
        } else { // the identity: mostly zeros, which assertClose does not take for a proof
          assertArrayEquals(gamma, factors.output(layer), 1e-12, name + " Γ");
        }
      }
      plan.vjp(u, gradient);
      factors.invert(Damping.factored(damping)).precondition(gradient, step);
      assertClose(
          golden.get(prefix + "precondition.factored").doubles(),
          step.toArray(),
          BOUND,
          "factored");
      factors.invert(Damping.exact(damping)).precondition(gradient, step);
      assertClose(
          golden.get(prefix + "precondition.exact").doubles(), step.toArray(), BOUND, "exact");
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void fiveStepsOfPreconditionedMomentumEndWhereTorchEnds(String device) {
    Safetensors ridge = Goldens.read("ridge");
    int n = ridge.get("labels").size();
    double lambda = number(ridge, "ridge");
    double momentum = number(ridge, "momentum");
    try (Engine engine = Engine.open(device);
        Plan plan = engine.compile(backbone, n);
        DeviceVector targets = engine.vector(narrow(ridge.get("targets").doubles()));
        DeviceVector f0 = engine.vector(targets.length());
        DeviceVector residual = engine.vector(targets.length());
        DeviceVector gradient = engine.vector(plan.parameters());
        DeviceVector delta = engine.vector(plan.parameters());
        DeviceVector step = engine.vector(plan.parameters());
        DeviceVector velocity = engine.vector(plan.parameters());
        KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.EXPAND)) {
      plan.forward(ridge.get("images").floats(), n);
      plan.outputs(f0);
      factors.accumulate(plan).invert(Damping.factored(number(ridge, "damping")));
      for (int i = 0; i < number(ridge, "steps"); i++) {
        plan.jvp(delta, residual);
        residual.add(1, f0).add(-1, targets).scale(1.0 / n);
        gradient.set(delta).scale(lambda);
        plan.vjp(residual, gradient);
        factors.precondition(gradient, step);
        velocity.scale(momentum).add(-number(ridge, "kfac_rate"), step);
        delta.add(1, velocity);
      }
      assertClose(ridge.get("kfac_sgd").doubles(), delta.toArray(), BOUND, "delta");
    }
  }

  private static double number(Safetensors file, String key) {
    return Double.parseDouble(file.metadata().get(key));
  }

  private static float[] narrow(double[] values) {
    float[] narrow = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      narrow[i] = (float) values[i];
    }
    return narrow;
  }
}
