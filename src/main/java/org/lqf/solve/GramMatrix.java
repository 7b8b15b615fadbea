package org.lqf.solve;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Backbone;
import org.lqf.model.ParameterBlock;

/**
 * K = JJᵀ [N·C, N·C], the tangent kernel of the images with themselves, summed over parts of the
 * parameters: J is never held, but the columns of some layers, as many as there is room for. A walk
 * back through the network for the last layers is a short one, and most parameters are there.
 *
 * <p>Where the rows of a single layer are too many, tiles of images take turns: the rows of two are
 * held, and those of every later one are computed anew to meet them. Parts depend on the network
 * and the number of images only, and no entry on the tiles.
 *
 * <p>Of a {@link Backbone#balancedHead} only the columns of the head itself need all classes: those
 * of the other layers are computed for all classes but the last, whose entries are what the others
 * sum to, negative.
 */
public final class GramMatrix {

  private static final long ROWS_BYTES = 3L << 29; // of all rows of J that are in memory
  private static final int LEAST_PARTS = 5; // short walks cost little, memory that is new does
  static final int HELD = 2; // tiles whose rows stay while those of the later ones pass
  private static final int MAX_SIDE = 46_340; // beyond, K has more entries than an array can hold
  private static final double MEMORY_SHARE = 0.5; // of the free memory, at most

  /** Images [n, channels, height, width] that are in the plan together; at is their first. */
  private record Piece(float[] images, int n, int at) {}

  /**
   * Columns of J that are taken together.
   *
   * @param classes whose rows are computed: all, or all but the last
   */
  record Part(Plan.Columns columns, int classes) {
    int length() {
      return columns.length();
    }
  }

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

  /**
   * Bytes that {@link #of} and a factorisation in place hold at most, beside the plan: K in double
   * and rows of J.
   *
   * @param network with its head
   * @param linearised names of its layers
   * @param batch images that the plan will take at most
   */
  public static long bytes(Backbone network, Set<String> linearised, long images, int batch) {
    return bytes(network, linearised, network.balancedHead(), images, batch);
  }

  /** The same with a plan that there is. */
  public static long bytes(Plan plan, long images) {
    return bytes(
        plan.backbone(), plan.linearised().layers(), plan.balancedHead(), images, plan.maxBatch());
  }

  private static long bytes(
      Backbone network,
      Set<String> linearised,
      Optional<ParameterBlock> balanced,
      long images,
      int batch) {
    int classes = network.outputShape().channels();
    long parameters = network.parameters();
    long side = images * classes;
    long rows = 0;
    for (Part part : parts(network, linearised, balanced, most(side, parameters))) {
      long tile = tile(part, images, batch, classes, parameters);
      long held = tile == images ? images : (HELD + 1) * tile;
      rows = Math.max(rows, 4 * held * part.classes() * part.length());
    }
    return 8 * side * side + rows;
  }

  /** Whether K and a factorisation in place fit into half of so many bytes. */
  public static boolean fits(Plan plan, long images, long freeBytes) {
    return possible(images, plan.classes()) && bytes(plan, images) <= MEMORY_SHARE * freeBytes;
  }

  /**
   * Computes K.
   *
   * @return owned by the caller; row i·C + c belongs to class c of image i in order
   */
  public static SymmetricMatrix of(Engine engine, Plan plan, Samples samples, Progress progress)
      throws IOException {
    int side = side(samples.size(), plan.classes());
    List<Part> parts = parts(plan, most(side, plan.parameters()));
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

  /**
   * All columns of J, those of which a class is left out first.
   *
   * @param balanced the network's {@link Backbone#balancedHead}
   * @param most parameters that are taken together
   */
  static List<Part> parts(
      Backbone network, Set<String> linearised, Optional<ParameterBlock> balanced, long most) {
    int classes = network.outputShape().channels();
    Set<String> head = new LinkedHashSet<>(linearised);
    Set<String> body = new LinkedHashSet<>(linearised);
    balanced.ifPresent(block -> body.remove(block.node()));
    head.removeAll(body);
    List<Part> parts = new ArrayList<>();
    for (Plan.Columns columns : Plan.columns(network, body, most)) {
      parts.add(new Part(columns, balanced.isPresent() ? classes - 1 : classes));
    }
    for (Plan.Columns columns : Plan.columns(network, head, most)) {
      parts.add(new Part(columns, classes));
    }
    return parts;
  }

  static List<Part> parts(Plan plan, long most) {
    return parts(plan.backbone(), plan.linearised().layers(), plan.balancedHead(), most);
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

  private static int tile(Part part, int images, Plan plan) {
    return (int) tile(part, images, plan.maxBatch(), plan.classes(), plan.parameters());
  }

  /** Images whose rows of a part are held together: all, or those of a tile. */
  static long tile(Part part, long images, int batch, int classes, long parameters) {
    long most = rowsBytes(batch, classes, parameters);
    long fit = most / (4L * part.classes() * part.length());
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

  /**
   * Sets a block [some + 1, some + 1] to one of [some, some] and the row and the column that the
   * others sum to 0 with.
   */
  static void spread(
      double[] from, int block, int fromRow, double[] to, int at, int toRow, int some) {
    int last = at + some * toRow;
    Arrays.fill(to, last, last + some, 0);
    double sum = 0; // in an order that the transposed block has, too
    for (int c = 0; c < some; c++) {
      double rowSum = 0;
      for (int d = 0; d < some; d++) {
        double value = from[block + c * fromRow + d];
        to[at + c * toRow + d] = value;
        to[last + d] -= value;
        rowSum += value;
        if (d <= c) {
          sum += d == c ? value : value + from[block + d * fromRow + c];
        }
      }
      to[at + c * toRow + some] = -rowSum;
    }
    to[last + some] = sum;
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

    void addAll(List<Part> parts) {
      double all = parts.stream().mapToDouble(Part::length).sum();
      double before = 0;
      boolean lacking = false;
      for (Part part : parts) {
        if (lacking && part.classes() == plan.classes()) {
          addLastClass();
          lacking = false;
        }
        List<List<Piece>> tiles = tiles(part);
        makeRoom(parts, tiles.size());
        add(part, tiles, before / all, part.length() / all);
        before += part.length();
        lacking |= part.classes() < plan.classes();
      }
      if (lacking) {
        addLastClass();
      }
    }

    /**
     * K of all classes from that of all but the last, which stands in its upper left corner: rows
     * move down from there, so the last image goes first.
     */
    private void addLastClass() {
      int classes = plan.classes();
      int images = matrix.side() / classes;
      int row = images * (classes - 1);
      double[] all = new double[classes * matrix.side()];
      for (int i = images - 1; i >= 0; i--) {
        double[] some = matrix.read(i * (classes - 1), 0, classes - 1, row);
        for (int j = 0; j < images; j++) {
          spread(some, j * (classes - 1), row, all, j * classes, matrix.side(), classes - 1);
        }
        matrix.write(i * classes, 0, classes, matrix.side(), all);
      }
    }

    private List<List<Piece>> tiles(Part part) {
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
    private void makeRoom(List<Part> parts, int tiles) {
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
                          * part.classes()
                          * tiles(part).stream().mapToInt(Sum::images).max().orElseThrow())
              .max()
              .orElseThrow();
      for (int i = 0; i < count; i++) {
        rows.add(engine.vector(length));
      }
    }

    private void add(Part part, List<List<Piece>> tiles, double before, double share) {
      int pairs = tiles.size() * (tiles.size() + 1) / 2;
      int added = 0;
      for (int first = 0; first < tiles.size(); first += HELD) {
        for (int j = first; j < tiles.size(); j++) {
          DeviceVector right = rows.get(Math.min(j - first, HELD));
          jacobian(part, tiles.get(j), right);
          for (int i = first; i <= Math.min(j, first + HELD - 1); i++) {
            List<Piece> a = tiles.get(i);
            List<Piece> b = tiles.get(j);
            int classes = part.classes();
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
    private void jacobian(Part part, List<Piece> tile, DeviceVector target) {
      for (Piece piece : tile) {
        if (piece.at != inPlan) {
          plan.forward(piece.images, piece.n);
          inPlan = piece.at;
        }
        long row = (long) (piece.at - tile.get(0).at) * part.classes();
        plan.jacobian(target, row, part.columns(), part.classes());
      }
    }

    @Override
    public void close() {
      rows.forEach(DeviceVector::close);
      rows.clear();
    }
  }
}
