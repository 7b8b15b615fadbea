package org.lqf.baseline;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lqf.engine.Numbers;

class LossTest {

  private static final int IMAGES = 3;
  private static final int CLASSES = 4;
  private static final float[] TARGETS = {0, 15, 0, 0, 15, 0, 0, 0, 0, 0, 0, 15};

  private static double of(Loss loss, float[] outputs) {
    return loss.evaluate(outputs, TARGETS, IMAGES, CLASSES, new float[IMAGES * CLASSES]);
  }

  @ParameterizedTest
  @EnumSource(Loss.class)
  void cotangentIsTheDerivative(Loss loss) {
    float[] outputs = Numbers.normal(IMAGES * CLASSES, 1);
    float[] cotangent = new float[outputs.length];
    loss.evaluate(outputs, TARGETS, IMAGES, CLASSES, cotangent);
    for (int i = 0; i < outputs.length; i++) {
      float[] up = outputs.clone();
      float[] down = outputs.clone();
      up[i] += 0.01f;
      down[i] -= 0.01f;
      double difference = (of(loss, up) - of(loss, down)) / ((double) up[i] - down[i]);
      assertEquals(difference, cotangent[i], 1e-4 * (1 + Math.abs(difference)), "output " + i);
    }
  }

  @Test
  void equalOutputsCostTheLogarithmOfTheClasses() {
    float[] equal = new float[IMAGES * CLASSES];
    assertEquals(IMAGES * Math.log(CLASSES), of(Loss.CROSS_ENTROPY, equal), 1e-12);
    assertEquals(IMAGES * 15 * 15 / 2.0, of(Loss.SQUARED_ERROR, equal), 1e-12);
  }

  @Test
  void crossEntropyOfHugeOutputsIsFinite() {
    float[] outputs = TARGETS.clone();
    for (int i = 0; i < outputs.length; i++) {
      outputs[i] *= -1000;
    }
    assertEquals(IMAGES * 15_000, of(Loss.CROSS_ENTROPY, outputs), 10);
  }
}
