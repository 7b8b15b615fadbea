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

  /** Whether it is A⁻¹ for an A with H ⪰ A ⪰ λI, which proves more of a solution than λI does. */
  default boolean bounds() {
    return false;
  }
}
