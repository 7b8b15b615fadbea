package org.lqf.solve;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.SymmetricMatrix;

/**
 * K = JJᵀ [N·C, N·C], the tangent kernel of the images with themselves, summed over parts of the
 * parameters: J is never held, but the columns of some layers, as many as there is room for. A walk
 * back through the network for the last layers is a short one, and most parameters are there.
 *
 * <p>Where the rows of a single layer are too many, tiles of images take turns: the rows of two are
 * held, and those of every later one are computed anew to meet them. Parts depend on the network
 * and the number of images only, and no entry on the tiles.
 */
public final class GramMatrix {

  private static final long ROWS_BYTES = 3L << 29; // of all rows of J that are in memory
  private static final int LEAST_PARTS = 3; // short walks cost little, memory that is new does
  static final int HELD = 2; // tiles whose rows stay while those of the later ones pass
  private static final int MAX_SIDE = 46_340; // beyond, K has more entries than an array can hold
  private static final double MEMORY_SHARE = 0.5; // of the free memory, at most

  /** Images [n, channels, height, width] that are in the plan together; at is their first. */
  private record Piece(float[] images, int n, int at) {}

  private GramMatrix() {}

  /** Whether K has a side that can be had. */
  public static boolean possible(long images, int classes) {
    return images * classes <= MAX_SIDE;
  }

  /** Side of K, or an exception that says why it cannot be had. */
  public static int side(long images, int classes) {
    if (!possible(images, classes)) {
      throw new IllegalArgumentException(
          "%d images of %d classes need a Gram matrix of side %d; the largest is %d, use cg"
              .formatted(images, classes, images * classes, MAX_SIDE));
    }
    return (int) (images * classes);
  }

  /** Bytes that {@link #of} and a factorisation in place hold at most. */
  public static long bytes(long images, int classes, long parameters) {
    return bytes(images, classes, parameters, (int) Math.min(images, Integer.MAX_VALUE));
  }

  /** The same where a plan takes so many images at most. */
  public static long bytes(long images, int classes, long parameters, int batch) {
    long side = images * classes;
    long rows = Math.min(partBytes(side, parameters), rowsBytes(batch, classes, parameters));
    return 8 * side * side + rows;
  }

  /** Whether K and a factorisation in place fit into half of so many bytes. */
  public static boolean fits(long images, int classes, long parameters, long freeBytes) {
    return possible(images, classes)
        && bytes(images, classes, parameters) <= MEMORY_SHARE * freeBytes;
  }

  /**
   * Computes K.
   *
   * @return owned by the caller; row i·C + c belongs to class c of image i in order
   */
  public static SymmetricMatrix of(Engine engine, Plan plan, Samples samples, Progress progress)
      throws IOException {
    int side = side(samples.size(), plan.classes());
    List<Plan.Columns> parts = plan.columns(most(side, plan.parameters()));
    int tile =
        parts.stream().mapToInt(part -> tile(part, samples.size(), plan)).min().orElseThrow();
    List<Piece> pieces = pieces(samples, Math.min(tile, plan.maxBatch()));
    SymmetricMatrix matrix = engine.matrix(side);
    try (Sum sum = new Sum(engine, plan, pieces, matrix, progress)) {
      sum.addAll(parts);
      return matrix;
    } catch (RuntimeException e) {
      matrix.close();
      throw e;
    }
  }

  /** Of the rows of J, by all layers that are taken together. */
  private static long partBytes(long side, long parameters) {
    return Math.min(ROWS_BYTES, 4 * side * parameters / LEAST_PARTS);
  }

  /** Parameters of layers that are taken together. */
  static long most(long side, long parameters) {
    return partBytes(side, parameters) / (4 * side);
  }

  /** Of the rows of J in memory, with a plan of so many images: a small one has little room. */
  private static long rowsBytes(int batch, int classes, long parameters) {
    return Math.min(ROWS_BYTES, (HELD + 1L) * 4 * batch * classes * parameters);
  }

  private static int tile(Plan.Columns part, int images, Plan plan) {
    return (int) tile(part, images, plan.maxBatch(), plan.classes(), plan.parameters());
  }

  /** Images whose rows of a part are held together: all, or those of a tile. */
  static long tile(Plan.Columns part, long images, int batch, int classes, long parameters) {
    long most = rowsBytes(batch, classes, parameters);
    long fit = most / (4L * classes * part.length());
    return fit >= images ? images : Math.max(1, fit / (HELD + 1));
  }

  private static List<Piece> pieces(Samples samples, int most) throws IOException {
    List<Piece> pieces = new ArrayList<>();
    int[] at = new int[1];
    samples.forEach(
        Samples.IN_ORDER,
        (images, n, targets) -> {
          int size = images.length / n;
          for (int i = 0; i < n; i += most) {
            int end = Math.min(n, i + most);
            float[] some = Arrays.copyOfRange(images, i * size, end * size);
            pieces.add(new Piece(some, end - i, at[0] + i));
          }
          at[0] += n;
        });
    return pieces;
  }

  /** K on its way. */
  private static final class Sum implements AutoCloseable {
    private final Engine engine;
    private final Plan plan;
    private final List<Piece> pieces;
    private final SymmetricMatrix matrix;
    private final Progress progress;
    private final List<DeviceVector> rows = new ArrayList<>(); // of the held tiles, then of another
    private int inPlan = -1; // first image of the piece that is there
    private int done; // pairs of tiles

    Sum(Engine engine, Plan plan, List<Piece> pieces, SymmetricMatrix matrix, Progress progress) {
      this.engine = engine;
      this.plan = plan;
      this.pieces = pieces;
      this.matrix = matrix;
      this.progress = progress;
    }

    void addAll(List<Plan.Columns> parts) {
      double all = parts.stream().mapToDouble(Plan.Columns::length).sum();
      double before = 0;
      for (Plan.Columns part : parts) {
        List<List<Piece>> tiles = tiles(part);
        makeRoom(parts, tiles.size());
        add(part, tiles, before / all, part.length() / all);
        before += part.length();
      }
    }

    private List<List<Piece>> tiles(Plan.Columns part) {
      int tile = tile(part, images(pieces), plan);
      List<List<Piece>> tiles = new ArrayList<>();
      int from = 0;
      for (int i = 1; i <= pieces.size(); i++) {
        if (i == pieces.size() || images(pieces.subList(from, i + 1)) > tile) {
          tiles.add(pieces.subList(from, i));
          from = i;
        }
      }
      return tiles;
    }

    private static int images(List<Piece> pieces) {
      Piece last = pieces.get(pieces.size() - 1);
      return last.at + last.n - pieces.get(0).at;
    }

    /** Vectors for so many tiles, of the size of the largest among the parts that have so many. */
    private void makeRoom(List<Plan.Columns> parts, int tiles) {
      int count = Math.min(HELD + 1, tiles);
      if (rows.size() == count) {
        return;
      }
      close();
      long length =
          parts.stream()
              .filter(part -> Math.min(HELD + 1, tiles(part).size()) == count)
              .mapToLong(
                  part ->
                      (long) part.length()
                          * plan.classes()
                          * tiles(part).stream().mapToInt(Sum::images).max().orElseThrow())
              .max()
              .orElseThrow();
      for (int i = 0; i < count; i++) {
        rows.add(engine.vector(length));
      }
    }

    private void add(Plan.Columns part, List<List<Piece>> tiles, double before, double share) {
      int pairs = tiles.size() * (tiles.size() + 1) / 2;
      int added = 0;
      for (int first = 0; first < tiles.size(); first += HELD) {
        for (int j = first; j < tiles.size(); j++) {
          DeviceVector right = rows.get(Math.min(j - first, HELD));
          jacobian(part, tiles.get(j), right);
          for (int i = first; i <= Math.min(j, first + HELD - 1); i++) {
            List<Piece> a = tiles.get(i);
            List<Piece> b = tiles.get(j);
            int classes = plan.classes();
            matrix.addGram(
                a.get(0).at * classes,
                rows.get(i - first),
                images(a) * classes,
                b.get(0).at * classes,
                right,
                images(b) * classes,
                part.length());
            double fraction = before + share * ++added / pairs;
            progress.report(
                new Progress.Step(++done, Math.min(1, fraction), Double.NaN, Double.NaN));
          }
        }
      }
    }

    /** target = rows of J of the tile, the columns of the part. */
    private void jacobian(Plan.Columns part, List<Piece> tile, DeviceVector target) {
      for (Piece piece : tile) {
        if (piece.at != inPlan) {
          plan.forward(piece.images, piece.n);
          inPlan = piece.at;
        }
        long row = (long) (piece.at - tile.get(0).at) * plan.classes();
        plan.jacobian(target, row, part);
      }
    }

    @Override
    public void close() {
      rows.forEach(DeviceVector::close);
      rows.clear();
    }
  }
}
