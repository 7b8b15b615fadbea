package org.lqf.bench.vendor;

import static org.bytedeco.cuda.global.cublas.CUBLAS_FILL_MODE_LOWER;
import static org.bytedeco.cuda.global.cudart.cudaMemcpy;
import static org.bytedeco.cuda.global.cudart.cudaMemcpyDeviceToHost;
import static org.bytedeco.cuda.global.cudart.cudaMemcpyHostToDevice;
import static org.bytedeco.cuda.global.cusolver.CUSOLVER_EIG_MODE_VECTOR;
import static org.bytedeco.cuda.global.cusolver.cusolverDnDpotrf;
import static org.bytedeco.cuda.global.cusolver.cusolverDnDpotrf_bufferSize;
import static org.bytedeco.cuda.global.cusolver.cusolverDnDpotri;
import static org.bytedeco.cuda.global.cusolver.cusolverDnDpotri_bufferSize;
import static org.bytedeco.cuda.global.cusolver.cusolverDnDsyevd;
import static org.bytedeco.cuda.global.cusolver.cusolverDnDsyevd_bufferSize;

import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.IntPointer;

/**
 * A symmetric matrix of doubles by cuSOLVER. It counts in columns: the lower triangle there is the
 * upper one of our rows, which for what is symmetric is the same.
 */
public final class CusolverMatrix implements AutoCloseable {

  private final Vendor vendor;
  private final int side;
  private final DoublePointer matrix;
  private final DoublePointer values;
  private final DoublePointer work;
  private final IntPointer info;
  private final int workSize;

  public CusolverMatrix(Vendor vendor, int side) {
    this.vendor = vendor;
    this.side = side;
    long entries = (long) side * side;
    matrix = Vendor.allocateDoubles(entries);
    values = Vendor.allocateDoubles(side);
    int lower = CUBLAS_FILL_MODE_LOWER;
    int largest = 1;
    try (IntPointer size = new IntPointer(1)) {
      Vendor.check(
          "potrf_bufferSize",
          cusolverDnDpotrf_bufferSize(vendor.cusolver, lower, side, matrix, side, size));
      largest = Math.max(largest, size.get());
      Vendor.check(
          "potri_bufferSize",
          cusolverDnDpotri_bufferSize(vendor.cusolver, lower, side, matrix, side, size));
      largest = Math.max(largest, size.get());
      Vendor.check(
          "syevd_bufferSize",
          cusolverDnDsyevd_bufferSize(
              vendor.cusolver, CUSOLVER_EIG_MODE_VECTOR, lower, side, matrix, side, values, size));
      largest = Math.max(largest, size.get());
    }
    workSize = largest;
    work = Vendor.allocateDoubles(workSize);
    info = new IntPointer(Vendor.allocate(Integer.BYTES));
  }

  /** Copies [side, side] to the device. */
  public void write(double[] entries) {
    try (DoublePointer host = new DoublePointer(entries)) {
      Vendor.check(
          "cudaMemcpy",
          cudaMemcpy(matrix, host, (long) entries.length * Double.BYTES, cudaMemcpyHostToDevice));
    }
  }

  /** What the device holds, as columns: [side, side]. */
  public double[] read() {
    vendor.synchronise();
    return read(matrix, side * side);
  }

  /** After {@link #eigen}: ascending. */
  public double[] eigenvalues() {
    vendor.synchronise();
    return read(values, side);
  }

  private static double[] read(DoublePointer device, int count) {
    double[] entries = new double[count];
    try (DoublePointer host = new DoublePointer(count)) {
      Vendor.check(
          "cudaMemcpy",
          cudaMemcpy(host, device, (long) count * Double.BYTES, cudaMemcpyDeviceToHost));
      host.get(entries);
    }
    return entries;
  }

  /** The matrix becomes its inverse, in one triangle: at column j, row i for i at least j. */
  public void invert() {
    int lower = CUBLAS_FILL_MODE_LOWER;
    Vendor.check(
        "potrf",
        cusolverDnDpotrf(vendor.cusolver, lower, side, matrix, side, work, workSize, info));
    Vendor.check(
        "potri",
        cusolverDnDpotri(vendor.cusolver, lower, side, matrix, side, work, workSize, info));
  }

  /** The matrix becomes its eigenvectors, as columns. */
  public void eigen() {
    Vendor.check(
        "syevd",
        cusolverDnDsyevd(
            vendor.cusolver,
            CUSOLVER_EIG_MODE_VECTOR,
            CUBLAS_FILL_MODE_LOWER,
            side,
            matrix,
            side,
            values,
            work,
            workSize,
            info));
  }

  @Override
  public void close() {
    vendor.synchronise();
    Vendor.free(matrix);
    Vendor.free(values);
    Vendor.free(work);
    Vendor.free(info);
  }
}
