package org.lqf.solve;

import java.io.IOException;
import org.lqf.engine.DeviceVector;

/** About H⁻¹, symmetric and positive definite: it moves no optimum, it takes fewer steps there. */
@FunctionalInterface
public interface Preconditioner {

  /**
   * target ≈ H⁻¹·vector.
   *
   * @param vector [parameters], read
   * @param target [parameters], overwritten
   */
  void apply(DeviceVector vector, DeviceVector target) throws IOException;

  /**
   * ⟨vector, H⁻¹·vector⟩ is at most this; infinite where nothing but H ⪰ λI is known.
   *
   * @param vector [parameters], read
   * @param scratch [parameters], overwritten
   */
  default double bound(DeviceVector vector, DeviceVector scratch) throws IOException {
    return Double.POSITIVE_INFINITY;
  }
}
