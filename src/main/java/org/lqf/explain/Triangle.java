package org.lqf.explain;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.util.List;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.SafetensorsFile;
import org.lqf.model.Tensor;

/**
 * The lower triangle of a symmetric matrix of doubles, wherever it lies. Any thread may read.
 *
 * <p>A product with the matrix needs no more than that, so a Gram inverse in a file can serve from
 * there: a change of some images reads it a few times, one after the other, and that is less than
 * to build the matrix in memory.
 */
interface Triangle extends AutoCloseable {

  /**
   * Copies columns [from, end) of rows [row, end) to the target from its start on; what is right of
   * the diagonal may be anything.
   *
   * @param target direct, (end − row) · (end − from) doubles remaining; gets the byte order of what
   *     it then holds
   * @throws UncheckedIOException if a file cannot be read any more; says so
   */
  void read(int row, int end, int from, ByteBuffer target);

  /** The whole matrix, where it is in memory. */
  Optional<SymmetricMatrix> matrix();

  @Override
  void close();

  /** That of a matrix, which is owned by the result. */
  static Triangle of(SymmetricMatrix matrix) {
    return new Triangle() {
      @Override
      public void read(int row, int end, int from, ByteBuffer target) {
        DoubleBuffer block = target.order(ByteOrder.nativeOrder()).asDoubleBuffer();
        matrix.read(row, from, end - row, end - from, block);
      }

      @Override
      public Optional<SymmetricMatrix> matrix() {
        return Optional.of(matrix);
      }

      @Override
      public void close() {
        matrix.close();
      }
    };
  }

  /**
   * That of a file with tiles {@code prefix + first row}, each of whole rows up to its last row's
   * diagonal.
   *
   * @param file owned by the result
   * @throws IllegalArgumentException if the tiles do not make a triangle; says which
   */
  static Triangle of(SafetensorsFile file, String prefix, int side) {
    NavigableMap<Integer, Tile> tiles = new TreeMap<>(); // by their first rows
    for (int row = 0; row < side; ) {
      String name = name(prefix, row);
      List<Long> shape = file.shape(name);
      if (shape.size() != 2
          || shape.get(0) < 1
          || shape.get(1) != row + shape.get(0)
          || shape.get(1) > side
          || file.type(name) != Tensor.Type.F64) {
        throw new IllegalArgumentException(
            "tile %s is %s %s".formatted(name, file.type(name), shape));
      }
      int end = Math.toIntExact(shape.get(1));
      tiles.put(row, new Tile(name, row, end));
      row = end;
    }
    return new Triangle() {
      @Override
      public void read(int row, int end, int from, ByteBuffer target) {
        for (int i = row; i < end; i++) {
          Tile tile = Objects.requireNonNull(tiles.floorEntry(i)).getValue();
          int start = (i - row) * (end - from);
          target.limit(8 * (start + Math.min(end, tile.end) - from)).position(8 * start);
          try {
            file.read(tile.name, 8L * ((long) (i - tile.first) * tile.end + from), target);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        }
        target.rewind().order(ByteOrder.LITTLE_ENDIAN);
      }

      @Override
      public Optional<SymmetricMatrix> matrix() {
        return Optional.empty();
      }

      @Override
      public void close() {
        try {
          file.close();
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      }
    };
  }

  /** Rows [first, end) up to column {@code end}. */
  record Tile(String name, int first, int end) {}

  /** The tile's name in a file. */
  static String name(String prefix, int row) {
    return prefix + "%05d".formatted(row);
  }
}
