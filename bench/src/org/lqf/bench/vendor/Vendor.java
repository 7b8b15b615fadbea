package org.lqf.bench.vendor;

import static org.bytedeco.cuda.global.cublas.CUBLAS_PEDANTIC_MATH;
import static org.bytedeco.cuda.global.cublas.cublasCreate_v2;
import static org.bytedeco.cuda.global.cublas.cublasDestroy_v2;
import static org.bytedeco.cuda.global.cublas.cublasSetMathMode;
import static org.bytedeco.cuda.global.cublas.cublasSetStream_v2;
import static org.bytedeco.cuda.global.cudart.cudaFree;
import static org.bytedeco.cuda.global.cudart.cudaMalloc;
import static org.bytedeco.cuda.global.cudnn.cudnnCreate;
import static org.bytedeco.cuda.global.cudnn.cudnnDestroy;
import static org.bytedeco.cuda.global.cudnn.cudnnSetStream;
import static org.bytedeco.cuda.global.cusolver.cusolverDnCreate;
import static org.bytedeco.cuda.global.cusolver.cusolverDnDestroy;
import static org.bytedeco.cuda.global.cusolver.cusolverDnSetStream;

import java.util.Optional;
import org.bytedeco.cuda.cublas.cublasContext;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.cusolver.cusolverDnContext;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.cuda.global.cusolver;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;

/**
 * NVIDIA's libraries on the stream and the vectors of an engine: what our kernels are compared
 * with. The Bytedeco presets bring their Java side; the libraries are those of the machine.
 */
public final class Vendor implements AutoCloseable {

  /** A number of the device's address space as the presets want it. */
  private static final class At extends Pointer {
    At(long address) {
      this.address = address;
    }
  }

  final cublasContext cublas = new cublasContext();
  final cusolverDnContext cusolver = new cusolverDnContext();
  final cudnnContext cudnn = new cudnnContext();
  private final Engine engine;

  /** Asked once: the second touch of a class that failed to load says nothing of the reason. */
  private static final class Probe {
    static final Optional<String> CAUSE = Engine.unavailabilityCause("cuda").or(Probe::load);

    private static Optional<String> load() {
      try {
        Loader.load(cudart.class);
        Loader.load(cublas.class);
        Loader.load(cusolver.class);
        Loader.load(cudnn.class);
        return Optional.empty();
      } catch (LinkageError e) {
        Throwable root = e; // JavaCPP's own message hides the reason
        while (root.getCause() != null) {
          root = root.getCause();
        }
        return Optional.of(
            "the libraries to compare with do not load (CUDA 13, cuDNN 9, mvn -Pgpu): "
                + root.getMessage());
      }
    }
  }

  /** Why there is nothing to compare with, in one sentence; empty where there is. */
  public static Optional<String> unavailabilityCause() {
    return Probe.CAUSE;
  }

  /**
   * Opens the libraries.
   *
   * @param engine of device "cuda"; what is asked of the libraries is queued in its stream
   * @throws IllegalStateException with the sentence of {@link #unavailabilityCause}
   */
  public Vendor(Engine engine) {
    unavailabilityCause()
        .ifPresent(
            cause -> {
              throw new IllegalStateException(cause);
            });
    this.engine = engine;
    CUstream_st stream = new CUstream_st(new At(engine.stream().handle()));
    check("cublasCreate", cublasCreate_v2(cublas));
    check("cublasSetStream", cublasSetStream_v2(cublas, stream));
    check("cublasSetMathMode", cublasSetMathMode(cublas, CUBLAS_PEDANTIC_MATH)); // fp32, as ours
    check("cusolverDnCreate", cusolverDnCreate(cusolver));
    check("cusolverDnSetStream", cusolverDnSetStream(cusolver, stream));
    check("cudnnCreate", cudnnCreate(cudnn));
    check("cudnnSetStream", cudnnSetStream(cudnn, stream));
  }

  /** The floats of a vector of the engine, without a copy. */
  static FloatPointer floats(DeviceVector vector) {
    return new FloatPointer(new At(vector.buffer().address()));
  }

  /** Device memory of the caller, who gives it to {@link #free}. */
  static Pointer allocate(long bytes) {
    Pointer memory = new Pointer();
    check("cudaMalloc", cudaMalloc(memory, bytes));
    return memory;
  }

  static DoublePointer allocateDoubles(long count) {
    return new DoublePointer(allocate(count * Double.BYTES));
  }

  static void free(Pointer memory) {
    check("cudaFree", cudaFree(memory));
  }

  /** Waits for the device. */
  void synchronise() {
    engine.synchronise();
  }

  /** Of all four libraries 0 is success. */
  static void check(String call, int status) {
    if (status != 0) {
      throw new IllegalStateException("%s failed with status %d".formatted(call, status));
    }
  }

  @Override
  public void close() {
    cudnnDestroy(cudnn);
    cusolverDnDestroy(cusolver);
    cublasDestroy_v2(cublas);
  }
}
