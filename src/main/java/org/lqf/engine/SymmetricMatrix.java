package org.lqf.engine;

import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import org.lqf.binding.Lqf;
import org.lqf.binding.LqfMatrix;

/**
 * A symmetric matrix [side, side] of doubles on the device, for the Gram (dual) route.
 *
 * <p>It is filled by {@link #gram} or {@link #write} and then factorised in place, once: by {@link
 * #cholesky}, followed by {@link #solve} or {@link #invert}, or by {@link #eigen}. All arrays are
 * row-major.
 */
public final class SymmetricMatrix extends Handle {

  private final LqfMatrix pointer;
  private final int side;

  private SymmetricMatrix(LqfMatrix matrix, int side) {
    super(matrix, Lqf::lqf_matrix_destroy);
    this.pointer = matrix;
    this.side = side;
  }

  static SymmetricMatrix create(Engine engine, int side) {
    LqfMatrix matrix = new LqfMatrix();
    call(() -> Lqf.lqf_matrix_create(engine.pointer, side, matrix), engine);
    return new SymmetricMatrix(matrix, side);
  }

  /** Number of rows, and of columns. */
  public int side() {
    return side;
  }

  /**
   * Sets [row + i, column + j] to ⟨a_i, b_j⟩, and its mirror image.
   *
   * @param a [aRows, length], read
   * @param b [bRows, length], read
   */
  public SymmetricMatrix gram(
      int row, DeviceVector a, int aRows, int column, DeviceVector b, int bRows, long length) {
    return gram(row, a, aRows, column, b, bRows, length, false);
  }

  /** Adds what {@link #gram} sets: for rows that come in pieces. */
  public SymmetricMatrix addGram(
      int row, DeviceVector a, int aRows, int column, DeviceVector b, int bRows, long length) {
    return gram(row, a, aRows, column, b, bRows, length, true);
  }

  private SymmetricMatrix gram(
      int row,
      DeviceVector a,
      int aRows,
      int column,
      DeviceVector b,
      int bRows,
      long length,
      boolean add) {
    call(
        () ->
            Lqf.lqf_matrix_gram(
                pointer, row, a.pointer, aRows, column, b.pointer, bRows, length, add ? 1 : 0),
        this,
        a,
        b);
    return this;
  }

  /** A copy of the block [rows, columns] whose first entry is (row, column). */
  public double[] read(int row, int column, int rows, int columns) {
    double[] block = new double[blockSize(row, column, rows, columns)];
    call(() -> Lqf.lqf_matrix_read(pointer, row, column, rows, columns, block), this);
    return block;
  }

  /**
   * Copies the block whose first entry is (row, column) to the buffer from its position on, without
   * a detour by Java's heap; the position stays.
   *
   * @param target direct, in the machine's byte order, [rows, columns] remaining
   */
  public void read(int row, int column, int rows, int columns, DoubleBuffer target) {
    int size = blockSize(row, column, rows, columns);
    if (target.remaining() != size
        || !target.isDirect()
        || target.order() != ByteOrder.nativeOrder()) {
      throw new IllegalArgumentException(
          "block [%d,%d] needs a direct buffer of %d values in %s order, got %s in %s"
              .formatted(rows, columns, size, ByteOrder.nativeOrder(), target, target.order()));
    }
    DoubleBuffer block = target.slice();
    call(() -> Lqf.lqf_matrix_read(pointer, row, column, rows, columns, block), this);
  }

  /** A copy of the whole matrix. */
  public double[] toArray() {
    return read(0, 0, side, side);
  }

  /** Overwrites the block [rows, columns] whose first entry is (row, column); does not mirror. */
  public SymmetricMatrix write(int row, int column, int rows, int columns, double[] block) {
    int size = blockSize(row, column, rows, columns);
    if (block.length != size) {
      throw new IllegalArgumentException(
          "block [%d,%d] needs %d values, got %d".formatted(rows, columns, size, block.length));
    }
    call(() -> Lqf.lqf_matrix_write(pointer, row, column, rows, columns, block), this);
    return this;
  }

  /**
   * Factorises matrix + shift · I = L·Lᵀ; from here on this object holds L.
   *
   * @throws LqfException with status NUMERIC, naming the pivot, if the sum is not positive definite
   */
  public SymmetricMatrix cholesky(double shift) {
    call(() -> Lqf.lqf_matrix_cholesky(pointer, shift), this);
    return this;
  }

  /**
   * After {@link #cholesky}: x = (L·Lᵀ)⁻¹ x.
   *
   * @param x [side, columns], overwritten
   */
  public void solve(double[] x, int columns) {
    if (columns < 1 || x.length != (long) side * columns) {
      throw new IllegalArgumentException(
          "x [%d,%d] needs %d values, got %d"
              .formatted(side, columns, (long) side * columns, x.length));
    }
    call(() -> Lqf.lqf_matrix_solve(pointer, x, columns), this);
  }

  /** After {@link #cholesky}: this object becomes the full inverse (L·Lᵀ)⁻¹. */
  public SymmetricMatrix invert() {
    call(() -> Lqf.lqf_matrix_invert(pointer), this);
    return this;
  }

  /**
   * Eigendecomposition; this object then holds orthonormal eigenvectors as rows.
   *
   * @return the eigenvalues [side], ascending
   * @throws LqfException with status NUMERIC if it does not converge
   */
  public double[] eigen() {
    double[] values = new double[side];
    call(() -> Lqf.lqf_matrix_eigen(pointer, values), this);
    return values;
  }

  @Override
  public String toString() {
    return "SymmetricMatrix[" + side + "]";
  }

  private int blockSize(int row, int column, int rows, int columns) {
    if (row < 0
        || column < 0
        || rows < 0
        || columns < 0
        || rows > side - row
        || columns > side - column) {
      throw new IllegalArgumentException(
          "block [%d,%d] at (%d,%d) is not inside a matrix of side %d"
              .formatted(rows, columns, row, column, side));
    }
    return Math.multiplyExact(rows, columns);
  }
}
