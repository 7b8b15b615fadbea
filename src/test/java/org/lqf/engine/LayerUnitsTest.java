package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.lqf.engine.Numbers.normal;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lqf.curvature.Damping;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.curvature.Sharing;
import org.lqf.model.Backbone;
import org.lqf.model.LayerUnits;
import org.lqf.model.ParameterBlock;

/**
 * A plan in units is a plan without at the scaled displacement, bit for bit: J U Δ = J (U Δ), and
 * (J U)ᵀu = U Jᵀu.
 */
class LayerUnitsTest {

  private static final int N = 3;
  private static final long SEED = 400;
  private static final Backbone NET =
      Goldens.kinds().withW0(Goldens.read("kinds-golden").get("w0").floats());
  private static final Trial TRIAL = Trial.normal(NET, N, SEED);
  private static final LayerUnits UNITS = units();
  private static final float[] SCALES = scales();

  /** 2⁻³, 2⁻², … 2³, 2⁻³ … and the second layer frozen. */
  private static LayerUnits units() {
    Map<String, Float> units = new LinkedHashMap<>();
    List<ParameterBlock> blocks = NET.blocks();
    for (int i = 0; i < blocks.size(); i++) {
      units.put(blocks.get(i).node(), Math.scalb(1f, i % 7 - 3));
    }
    units.remove(blocks.get(1).node());
    return new LayerUnits(units);
  }

  /** The unit of each parameter, 0 where it is frozen. */
  private static float[] scales() {
    float[] scales = new float[(int) NET.parameters()];
    for (ParameterBlock block : NET.blocks()) {
      for (int i = block.weightOffset(); i < block.end(); i++) {
        scales[i] = UNITS.byLayer().getOrDefault(block.node(), 0f);
      }
    }
    return scales;
  }

  private static float[] scaled(float[] values) {
    float[] product = values.clone();
    for (int i = 0; i < product.length; i++) {
      product[i] = product[i] * SCALES[i % SCALES.length] + 0f; // no -0 where it is frozen
    }
    return product;
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void aPlanInUnitsIsThePlainOneAtTheScaledDisplacementBitForBit(String device) {
    try (Engine engine = Engine.open(device, 2);
        Plan plain = engine.compile(NET, UNITS.layers(), N);
        Plan plan = engine.compile(NET, UNITS, N);
        DeviceVector out = engine.vector(N * plan.classes());
        DeviceVector wanted = engine.vector(N * plan.classes());
        DeviceVector delta = engine.vector(TRIAL.delta());
        DeviceVector moved = engine.vector(delta.length());
        DeviceVector gradient = engine.vector(delta.length());
        DeviceVector rows = engine.vector(N * plan.classes() * plan.parameters());
        DeviceVector cotangent = engine.vector(TRIAL.cotangent())) {
      plan.displacement(delta, moved);
      assertArrayEquals(scaled(TRIAL.delta()), moved.toArray(), "displacement");

      plain.forward(TRIAL.images(), N);
      plain.jvp(moved, wanted);
      plain.vjp(cotangent, gradient);
      plain.vjp(cotangent, gradient);
      plain.jacobian(rows);
      float[] gradients = scaled(gradient.toArray());
      float[] jacobian = scaled(rows.toArray());
      plan.forward(TRIAL.images(), N);
      plan.jvp(delta, out);
      assertArrayEquals(wanted.toArray(), out.toArray(), "jvp");
      gradient.fill(0);
      plan.vjp(cotangent, gradient);
      plan.vjp(cotangent, gradient);
      assertArrayEquals(gradients, gradient.toArray(), "vjp");
      plan.jacobian(rows);
      assertArrayEquals(jacobian, rows.toArray(), "jacobian");

      float[] expected = new float[N * plan.classes()];
      float[] scores = expected.clone();
      plain.predict(moved, TRIAL.images(), N, expected);
      plan.predict(delta, TRIAL.images(), N, scores);
      assertArrayEquals(expected, scores, "predict");
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void kroneckerFactorsAreOfTheJacobianInUnits(String device) {
    try (Engine engine = Engine.open(device, 2);
        Plan plain = engine.compile(NET, UNITS.layers(), N);
        Plan plan = engine.compile(NET, UNITS, N);
        KroneckerFactors plainFactors = factors(plain);
        KroneckerFactors factors = factors(plan);
        KroneckerFactors stored = KroneckerFactors.create(plan, Sharing.REDUCE);
        DeviceVector gradient = engine.vector(normal((int) plan.parameters(), SEED + 9));
        DeviceVector step = engine.vector(plan.parameters());
        DeviceVector again = engine.vector(plan.parameters())) {
      for (int i = 0; i < factors.layers().size(); i++) {
        float unit = UNITS.byLayer().get(factors.layers().get(i));
        assertArrayEquals(plainFactors.input(i), factors.input(i), "A");
        double[] gamma = plainFactors.output(i);
        for (int k = 0; k < gamma.length; k++) {
          gamma[k] *= (double) unit * unit;
        }
        assertArrayEquals(gamma, factors.output(i), "Γ");
        stored.write(i, N, factors.input(i), factors.output(i));
      }
      factors.invert(Damping.exact(0.5));
      factors.precondition(gradient, step);
      stored.invert(Damping.exact(0.5));
      stored.precondition(gradient, again);
      assertArrayEquals(step.toArray(), again.toArray(), "read and set back");
      plan.forward(TRIAL.images(), N);
      factors.accumulate(plan);
      stored.accumulate(plan);
      for (int i = 0; i < factors.layers().size(); i++) {
        assertTrue(Numbers.relativeError(factors.output(i), stored.output(i)) < 1e-12, "went on");
      }
      String refusal =
          assertThrows(RuntimeException.class, () -> factors.accumulate(withImages(plain)))
              .getMessage();
      assertTrue(refusal.contains("in the same units"), refusal);
    }
  }

  private static KroneckerFactors factors(Plan plan) {
    KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.REDUCE);
    factors.accumulate(withImages(plan));
    return factors;
  }

  private static Plan withImages(Plan plan) {
    plan.forward(TRIAL.images(), N);
    return plan;
  }

  @Test
  void unitsArePowersOfTwo() {
    assertEquals("head", LayerUnits.ones(List.of("head")).toString());
    assertEquals("conv=0.25", new LayerUnits(Map.of("conv", 0.25f)).toString());
    for (float unit : new float[] {0, -1, 3, 0.1f, Float.NaN, Float.POSITIVE_INFINITY}) {
      String refusal =
          assertThrows(IllegalArgumentException.class, () -> new LayerUnits(Map.of("conv", unit)))
              .getMessage();
      assertTrue(refusal.contains("\"conv\" must be a power of two"), refusal);
    }
  }
}
