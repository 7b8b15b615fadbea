package org.lqf.engine;

import java.util.Arrays;
import java.util.Set;
import org.lqf.model.Backbone;

/**
 * A network with something to ask it: the same question goes to plans and to {@link DualOracle}.
 *
 * @param net at the point of linearisation
 * @param n images
 * @param images [n, c, h, w]
 * @param delta [parameters]
 * @param cotangent [n, classes]
 */
public record Trial(Backbone net, int n, float[] images, float[] delta, float[] cotangent) {

  /** Standard normal images, cotangents and, scaled down to keep J·delta moderate, delta. */
  public static Trial normal(Backbone net, int n, long seed) {
    float[] delta = Numbers.normal((int) net.parameters(), seed + 1);
    for (int i = 0; i < delta.length; i++) {
      delta[i] *= 0.1f;
    }
    return new Trial(
        net,
        n,
        Numbers.normal(n * net.input().shape().size(), seed),
        delta,
        Numbers.normal(n * net.outputShape().size(), seed + 2));
  }

  public Trial withDelta(float[] other) {
    return new Trial(net, n, images, other, cotangent);
  }

  /** The n of images [from, from + count), as a trial of its own. */
  public Trial part(int from, int count) {
    int size = net.input().shape().size();
    int classes = net.outputShape().size();
    return new Trial(
        net,
        count,
        Arrays.copyOfRange(images, from * size, (from + count) * size),
        delta,
        Arrays.copyOfRange(cotangent, from * classes, (from + count) * classes));
  }

  /** One image in double. */
  public double[] image(int index) {
    return Numbers.widen(part(index, 1).images);
  }

  public Verbs oracle() {
    return oracle(Set.of());
  }

  /** What double precision gives, the named layers being frozen. */
  public Verbs oracle(Set<String> frozen) {
    DualOracle oracle = new DualOracle(net, frozen);
    int classes = net.outputShape().size();
    double[] outputs = new double[n * classes];
    double[] jvp = new double[n * classes];
    double[] vjp = new double[delta.length];
    for (int i = 0; i < n; i++) {
      double[] image = image(i);
      System.arraycopy(oracle.forward(image), 0, outputs, i * classes, classes);
      double[] dot = oracle.jvp(image, Numbers.widen(delta));
      System.arraycopy(dot, 0, jvp, i * classes, classes);
      double[] bar = oracle.vjp(image, Numbers.widen(part(i, 1).cotangent));
      Arrays.setAll(vjp, p -> vjp[p] + bar[p]);
    }
    return new Verbs(outputs, jvp, vjp);
  }

  /** What a plan gives, all images at once. */
  public Verbs on(Engine engine, Plan plan) {
    return on(engine, plan, n);
  }

  /**
   * What a plan gives, the images being split into batches of these sizes. What it sets was NaN.
   */
  public Verbs on(Engine engine, Plan plan, int... batches) {
    int classes = plan.classes();
    double[] outputs = new double[n * classes];
    double[] jvp = new double[n * classes];
    try (DeviceVector direction = engine.vector(delta);
        DeviceVector gradient = engine.vector(delta.length)) {
      int from = 0;
      for (int count : batches) {
        Trial part = part(from, count);
        try (DeviceVector out = engine.vector(part.cotangent.length);
            DeviceVector bar = engine.vector(part.cotangent)) {
          plan.forward(part.images, count);
          plan.outputs(out.fill(Float.NaN));
          System.arraycopy(
              Numbers.widen(out.toArray()), 0, outputs, from * classes, count * classes);
          plan.jvp(direction, out.fill(Float.NaN));
          System.arraycopy(Numbers.widen(out.toArray()), 0, jvp, from * classes, count * classes);
          plan.vjp(bar, gradient);
        }
        from += count;
      }
      return new Verbs(outputs, jvp, Numbers.widen(gradient.toArray()));
    }
  }

  /** What a fresh plan on a fresh engine gives. */
  public Verbs on(String device, int threads, int maxBatch, int... batches) {
    try (Engine engine = Engine.open(device, threads);
        Plan plan = engine.compile(net, maxBatch)) {
      return on(engine, plan, batches);
    }
  }
}
