package org.lqf.engine;

import java.util.Locale;
import org.lqf.binding.Lqf;

/**
 * Of the products in convolutions, forward, tangent and both gradients. Sums, vectors, factors and
 * everything else are single or double precision always.
 */
public enum Precision {
  /** Single: the one that back ends agree in. */
  FP32(Lqf.LQF_FP32),
  /** 10 bits of fraction, on tensor cores: about 3 decimal digits. */
  TF32(Lqf.LQF_TF32),
  /** 7 bits of fraction, on tensor cores: about 2 decimal digits. */
  BF16(Lqf.LQF_BF16);

  private final int code;

  Precision(int code) {
    this.code = code;
  }

  int code() {
    return code;
  }

  /** Lower case, as on the command line. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
