package org.lqf.bench.peers;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Random;
import org.lqf.model.Backbone;

/**
 * Numbers that all engines work on.
 *
 * @param images [n, channels, height, width], standard normal
 * @param delta [parameters]
 * @param targets [n, classes]; also the cotangent of a vjp
 */
record Problem(Backbone backbone, int n, float[] images, float[] delta, float[] targets) {

  static final double RIDGE = 1e-3;

  static Problem of(Backbone backbone, int n) {
    Random random = new Random(n);
    return new Problem(
        backbone,
        n,
        normal(random, n * backbone.input().shape().size(), 1),
        normal(random, (int) backbone.parameters(), 0.01),
        normal(random, n * backbone.outputShape().channels(), 1));
  }

  int classes() {
    return backbone.outputShape().channels();
  }

  FloatBuffer directImages() {
    return ByteBuffer.allocateDirect(4 * images.length)
        .order(ByteOrder.nativeOrder())
        .asFloatBuffer()
        .put(0, images);
  }

  private static float[] normal(Random random, int length, double deviation) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    return values;
  }
}
