package org.lqf.solve;

import java.util.Arrays;
import org.lqf.engine.Engine;
import org.lqf.engine.Goldens;
import org.lqf.engine.Plan;
import org.lqf.model.Safetensors;

/** The ridge problem that PyTorch solved in double precision: {@code test-data/goldens}. */
final class GoldenProblem {

  static final Safetensors FILE = Goldens.read("ridge");
  static final int IMAGES = 12;
  static final int CLASSES = 4;

  private GoldenProblem() {}

  static double number(String name) {
    return Double.parseDouble(FILE.metadata().get(name));
  }

  static double[] doubles(String name) {
    return FILE.get(name).doubles();
  }

  static LeastSquares of(Engine engine, Plan plan, int batch) {
    return new LeastSquares(engine, plan, samples(batch), number("ridge"));
  }

  static Plan compile(Engine engine) {
    return engine.compile(Goldens.kinds(), IMAGES);
  }

  /** The golden images in their own order, whatever the pass. */
  static Samples samples(int batch) {
    float[] images = FILE.get("images").floats();
    double[] targets = doubles("targets");
    int size = images.length / IMAGES;
    return new Samples() {
      @Override
      public int size() {
        return IMAGES;
      }

      @Override
      public void forEach(int pass, Visitor visitor) {
        for (int i = 0; i < IMAGES; i += batch) {
          int end = Math.min(IMAGES, i + batch);
          float[] y = new float[(end - i) * CLASSES];
          for (int k = 0; k < y.length; k++) {
            y[k] = (float) targets[i * CLASSES + k];
          }
          visitor.visit(Arrays.copyOfRange(images, i * size, end * size), end - i, y);
        }
      }
    };
  }
}
