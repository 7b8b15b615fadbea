package org.lqf.bench.peers;

import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/** What the Java binding of libtorch lacks. */
final class Torch {

  static {
    torch.get_num_threads(); // loads libtorch, which the shim looks into
    System.load(System.getProperty("lqf.bench.shim"));
  }

  private Torch() {}

  /** Threads of libtorch and of the OpenBLAS it uses; settings of the process. */
  static void threads(int threads) {
    torch.set_num_threads(threads);
    blasThreads(threads);
  }

  /** Threads of OpenBLAS, which has to be left at 1: lqf calls it from threads of its own. */
  static void blasThreads(int threads) {
    openblas.blas_set_num_threads(threads);
    openblas_nolapack.blas_set_num_threads(threads);
  }

  static Tensor tensor(float[] values, long... shape) {
    try (FloatPointer copy = new FloatPointer(values)) {
      return torch.from_blob(copy, shape).clone();
    }
  }

  static float[] toArray(Tensor tensor) {
    Tensor plain = tensor.detach().contiguous();
    float[] values = new float[Math.toIntExact(plain.numel())];
    new FloatPointer(plain.data_ptr_float()).get(values);
    return values;
  }

  /** A dual number of forward-mode AD: at::_make_dual is not bound. */
  static Tensor dual(Tensor primal, Tensor tangent, long level) {
    Tensor dual = new Tensor();
    makeDual(dual.address(), primal.address(), tangent.address(), level);
    return dual;
  }

  /** Primal and tangent of a dual number. */
  static Tensor[] parts(Tensor dual, long level) {
    Tensor[] parts = {new Tensor(), new Tensor()};
    unpackDual(parts[0].address(), parts[1].address(), dual.address(), level);
    return parts;
  }

  /** Addresses of at::Tensor. */
  private static native void makeDual(long out, long primal, long tangent, long level);

  private static native void unpackDual(long primal, long tangent, long dual, long level);
}
