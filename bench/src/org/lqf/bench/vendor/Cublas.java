package org.lqf.bench.vendor;

import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_N;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_T;
import static org.bytedeco.cuda.global.cublas.cublasSgemm_v2;

import org.bytedeco.javacpp.FloatPointer;
import org.lqf.engine.DeviceVector;

/** Products of row-major matrices by cuBLAS in fp32; it counts in columns, so the order turns. */
public final class Cublas {

  private static final FloatPointer ONE = new FloatPointer(1f);
  private static final FloatPointer ZERO = new FloatPointer(0f);

  private final Vendor vendor;

  public Cublas(Vendor vendor) {
    this.vendor = vendor;
  }

  /** c [m, n] = a [m, k] · b [k, n] */
  public void multiply(int m, int n, int k, DeviceVector a, DeviceVector b, DeviceVector c) {
    gemm(CUBLAS_OP_N, n, m, n, k, a, b, c);
  }

  /** c [m, n] = a [m, k] · b [n, k]ᵀ */
  public void multiplyTransposed(
      int m, int n, int k, DeviceVector a, DeviceVector b, DeviceVector c) {
    gemm(CUBLAS_OP_T, k, m, n, k, a, b, c);
  }

  private void gemm(
      int op, int leading, int m, int n, int k, DeviceVector a, DeviceVector b, DeviceVector c) {
    Vendor.check(
        "cublasSgemm",
        cublasSgemm_v2(
            vendor.cublas,
            op,
            CUBLAS_OP_N,
            n,
            m,
            k,
            ONE,
            Vendor.floats(b),
            leading,
            Vendor.floats(a),
            k,
            ZERO,
            Vendor.floats(c),
            n));
  }
}
