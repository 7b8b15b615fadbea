package org.lqf.curvature;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Goldens;
import org.lqf.engine.LqfException;
import org.lqf.engine.Numbers;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;

/** What factors refuse, and which layer, pivot and damping they name. */
class KroneckerFactorsErrorsTest {

  private final Backbone net = Goldens.kinds();
  private final float[] image = Numbers.normal(net.input().shape().size(), 80);

  private static void refuses(
      Class<? extends RuntimeException> kind, Executable call, String... said) {
    RuntimeException e = assertThrows(kind, call);
    for (String part : said) {
      assertTrue(e.getMessage().contains(part), e.getMessage());
    }
    if (e instanceof LqfException lqf) {
      assertEquals(LqfException.Status.NUMERIC, lqf.status());
    }
  }

  private static void refuses(Executable call, String... said) {
    refuses(IllegalArgumentException.class, call, said);
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void aFactorThatIsNotPositiveIsNamed(String device) {
    try (Engine engine = Engine.open(device, 2);
        Plan plan = engine.compile(net, 1);
        DeviceVector gradient = engine.vector(plan.parameters());
        DeviceVector step = engine.vector(plan.parameters());
        KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.EXPAND)) {
      plan.forward(image, 1);
      factors.accumulate(plan).invert(Damping.factored(0.5));
      double[] a = factors.input(3);
      double[] gamma = factors.output(3);
      String layer = "\"" + factors.layers().get(3) + "\"";
      double[] broken = gamma.clone();
      broken[4 * factors.outputSide(3) + 4] = -1e9;
      factors.write(3, 1, a, broken);
      refuses(
          LqfException.class,
          () -> factors.invert(Damping.factored(0.5)),
          layer,
          "output factor of side " + factors.outputSide(3),
          "pivot 5",
          "damping 0.5");
      refuses(() -> factors.precondition(gradient, step), "invert"); // nor is the old inverse used

      broken = a.clone();
      broken[2 * factors.inputSide(3) + 2] = Double.NaN;
      factors.write(3, 1, broken, gamma);
      refuses(LqfException.class, () -> factors.invert(Damping.factored(0.5)), layer, "input");
      refuses(LqfException.class, () -> factors.invert(Damping.exact(0.5)), layer, "input");
      factors.write(3, 1, a, gamma).invert(Damping.exact(0.5)).precondition(gradient, step);
    }
  }

  @ParameterizedTest
  @MethodSource("org.lqf.engine.Devices#all")
  void imagesThatAreNotFiniteAreNoticed(String device) {
    float[] broken = image.clone();
    Arrays.fill(broken, Float.NaN);
    try (Engine engine = Engine.open(device, 1);
        Plan plan = engine.compile(net, 1);
        KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.EXPAND)) {
      plan.forward(broken, 1);
      factors.accumulate(plan);
      for (Damping damping : new Damping[] {Damping.factored(1), Damping.exact(1)}) {
        refuses(LqfException.class, () -> factors.invert(damping), "layer \"");
      }
    }
  }

  @Test
  void callsInAWrongOrder() {
    try (Engine engine = Engine.open("cpu", 1);
        Plan plan = engine.compile(net, 1);
        DeviceVector gradient = engine.vector(plan.parameters());
        DeviceVector step = engine.vector(plan.parameters());
        KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.EXPAND)) {
      refuses(IllegalStateException.class, () -> factors.accumulate(plan), "forward");
      refuses(() -> factors.invert(Damping.exact(1)), "no images");
      plan.forward(image, 1);
      factors.accumulate(plan);
      refuses(() -> factors.precondition(gradient, step), "invert");
      factors.invert(Damping.factored(1)).precondition(gradient, step);
      factors.accumulate(plan);
      refuses(() -> factors.precondition(gradient, step), "invert");
      KroneckerFactors closed = KroneckerFactors.create(plan, Sharing.EXPAND);
      closed.close();
      refuses(IllegalStateException.class, closed::samples, "KroneckerFactors is closed");
    }
  }

  @Test
  void whatBelongsElsewhere() {
    try (Engine engine = Engine.open("cpu", 1);
        Engine other = Engine.open("cpu", 1);
        Plan plan = engine.compile(net, 1);
        Plan fewer = engine.compile(net, Set.of("fc"), 1);
        Plan foreign = other.compile(net, 1);
        DeviceVector gradient = engine.vector(plan.parameters());
        DeviceVector foreignStep = other.vector(plan.parameters());
        DeviceVector few = engine.vector(3);
        KroneckerFactors factors = KroneckerFactors.create(plan, Sharing.REDUCE);
        KroneckerFactors head = KroneckerFactors.create(fewer, Sharing.REDUCE)) {
      for (Plan p : new Plan[] {plan, fewer, foreign}) {
        p.forward(image, 1);
      }
      refuses(() -> factors.accumulate(foreign), "another engine");
      refuses(() -> factors.accumulate(fewer), "fc");
      refuses(() -> head.accumulate(plan), "stem.conv1");
      assertEquals(0, factors.samples());
      refuses(() -> factors.accumulate(plan, -1, 0), "-1 probes");
      factors.accumulate(plan).invert(Damping.factored(1));
      refuses(() -> factors.precondition(gradient, foreignStep), "step", "another engine");
      refuses(() -> factors.precondition(gradient, gradient), "the same vector");
      refuses(() -> factors.precondition(few, gradient), "gradient", "8813", "3");
      refuses(() -> factors.precondition(gradient, few), "step", "8813", "3");
      refuses(() -> factors.input(9), "layer 9 of 9");
      refuses(() -> factors.outputSide(-1), "layer -1 of 9");
      double[] a = factors.input(0);
      double[] gamma = factors.output(0);
      refuses(() -> factors.write(0, 1, gamma, gamma), "input", "[28,28]", "25");
      refuses(() -> factors.write(0, 1, a, a), "output", "[5,5]", "784");
      refuses(() -> factors.write(0, 0, a, gamma), "0 samples");
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY})
  void dampingMustBePositive(double value) {
    refuses(() -> Damping.exact(value), "positive", "" + value);
    refuses(() -> Damping.factored(value), "positive", "" + value);
  }
}
