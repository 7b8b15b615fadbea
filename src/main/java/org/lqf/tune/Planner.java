package org.lqf.tune;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.Macs;
import org.lqf.model.ParameterBlock;
import org.lqf.solve.GramMatrix;
import org.lqf.solve.GramWork;
import org.lqf.solve.LargestEigenvalue;
import org.lqf.solve.SubsampledHessian;

/**
 * Finds the fastest way to train within a budget of memory, and predicts what it will need.
 *
 * <p>Results depend on none of its choices but the solver's: batches and what is kept decide only
 * how often something is computed anew. On a GPU, memory is that of the process and of the device
 * together.
 */
final class Planner {

  private static final int LARGEST = 64; // images of a batch that are not all
  private static final int MOST = 1 << 16; // images that a plan can take
  private static final double MEMORY_SHARE = 0.5; // of the free memory: the budget if none is given

  /** What the process comes to hold besides: code compiled later, buffers of the libraries. */
  private static final long WORKING_BYTES = 40L << 20;

  private static final double EIGEN_FLOPS = 25; // of an eigendecomposition, times side³
  private static final int RIDGE_IMAGES = 64; // of RowNorm, at most
  private static final int RIDGE_PROBES = 4;
  private static final int GRAM_PASSES = 6; // residuals, Δ and gradient, of two refinements

  /** Bytes of a plan: what stays grows with the images, scratch up to as many as go together. */
  private record Memory(long own, long more, long scratch, long mostScratch) {
    static Memory of(Plan one, Plan many) {
      long more = (many.memoryBytes() - one.memoryBytes()) / Math.max(1, many.maxBatch() - 1);
      return new Memory(one.memoryBytes(), more, one.sharedMemoryBytes(), many.sharedMemoryBytes());
    }

    long of(int batch) {
      return own + (batch - 1) * more + scratchOf(batch);
    }

    long scratchOf(int batch) {
      return Math.min(batch * scratch, mostScratch);
    }
  }

  private final LqfConfig config;
  private final Backbone network;
  private final Set<String> layers;
  private final Memory memory;
  private final Memory features; // of the linear probe
  private final Speeds speeds;
  private final long base;
  private final long budget;
  private final int images;
  private final int classes;
  private final double macs;
  private final int part; // images that precondition cg, 0 for none
  private final boolean lazy; // memory is the host's

  private Planner(Engine engine, Backbone sized, ImageFolder folder, LqfConfig config)
      throws IOException {
    this.config = config;
    lazy = !engine.describe().startsWith("cuda");
    images = folder.size();
    classes = folder.classes().size();
    Backbone cut = sized.cutAtFeatures();
    int width = cut.outputShape().channels();
    float[] head = new float[Math.multiplyExact(width, classes)];
    if (config.head() == Head.RANDOM) {
      Arrays.fill(head, 1); // not balanced either: that costs more
    }
    network = sized.withHead(head, new float[classes], List.of());
    macs = Macs.of(network);
    layers = config.layers().of(network);
    part = SubsampledHessian.size(network, layers, images);
    int many = Math.min(images, LARGEST);
    try (Plan one = engine.compile(cut, Set.of(), 1);
        Plan most = engine.compile(cut, Set.of(), many)) {
      features = Memory.of(one, most);
    }
    try (Plan one = engine.compile(network, layers, 1);
        Plan most = engine.compile(network, layers, many)) {
      memory = Memory.of(one, most);
      ImageDataset some = ImageDataset.of(folder, TrainingImages.transform(network.input()));
      speeds = Speeds.of(engine, most, some, config.readers(), gramSide());
    }
    base = resident() - memory.scratchOf(Math.min(images, Speeds.IMAGES)) + WORKING_BYTES;
    budget = config.memory().orElse(base + (long) (MEMORY_SHARE * FreeMemory.bytes()));
  }

  /**
   * @param sized the network at the training's input size
   * @throws IllegalArgumentException if the budget of the configuration is too small; says what
   *     would be enough
   */
  static TuningPlan of(Engine engine, Backbone sized, ImageFolder folder, LqfConfig config)
      throws IOException {
    return new Planner(engine, sized, folder, config).plan();
  }

  private TuningPlan plan() {
    boolean open =
        config.solver() == Solver.AUTO && !config.augment() && GramMatrix.possible(images, classes);
    @Nullable TuningPlan gram = open ? best(new SolverChoice(Solver.GRAM, "")) : null;
    double gramWork =
        gram == null
            ? Double.NaN
            : GramWork.of(network, layers, images, gram.batch()).multiplyAdds();
    SolverChoice choice =
        SolverChoice.of(config, images, classes, part, macs, gramWork, gram != null);
    if (choice.solver() == Solver.GRAM) {
      GramMatrix.side(images, classes); // or says why not
    }
    @Nullable TuningPlan found = best(choice);
    if (found != null) {
      return found;
    }
    if (config.memory().isEmpty()) { // nobody set a limit: try
      boolean held = TrainingImages.fitInMemory(images, network.input());
      return plan(choice, Math.min(images, Math.max(LARGEST, config.batch())), held);
    }
    int least = batches(choice.solver()).reduce((larger, smaller) -> smaller).orElseThrow();
    long needed = plan(choice, least, false).peakBytes();
    throw new IllegalArgumentException(
        "solver %s needs at least %d MB, with %d image%s at a time; the memory allowed is %d MB"
            .formatted(
                choice.solver(),
                (needed + (1 << 20) - 1) >> 20,
                least,
                least == 1 ? "" : "s",
                budget >> 20));
  }

  /** The first that fits, the fastest first; null if none does. */
  private @Nullable TuningPlan best(SolverChoice choice) {
    for (boolean held : new boolean[] {true, false}) {
      if (held && !TrainingImages.fitInMemory(images, network.input())) {
        continue;
      }
      for (int batch : batches(choice.solver()).toArray()) {
        TuningPlan candidate = plan(choice, batch, held);
        if (candidate.peakBytes() <= budget) {
          return candidate;
        }
      }
    }
    return null;
  }

  /** Batches that come into question, the largest first. */
  private IntStream batches(Solver solver) {
    return solver.stochastic() || config.augment()
        ? IntStream.of(Math.min(images, config.batch()))
        : IntStream.concat(
            IntStream.of(images)
                .filter(
                    all ->
                        all <= LARGEST
                            || (all <= MOST && TrainingImages.fitInMemory(all, network.input()))),
            IntStream.iterate(LARGEST, batch -> batch > 0, batch -> batch / 2)
                .filter(batch -> batch < images));
  }

  private TuningPlan plan(SolverChoice choice, int batch, boolean held) {
    Solver solver = choice.solver();
    long image = 4L * network.input().shape().size();
    long heap = (held ? images * image : 0) + 2L * batch * image; // one is read meanwhile
    long loaded = heap + memory.of(batch) + vectors(1); // with the displacement
    List<TuningPlan.Stage> stages = new ArrayList<>();
    stages.add(
        new TuningPlan.Stage(
            "reading images",
            held ? (images + 3L * Math.min(images, 64)) * image : 0,
            held ? images * speeds.read() : 0));
    stages.add(
        new TuningPlan.Stage(
            "linear probe",
            heap + features.of(batch),
            images * speeds.forward() + fresh(features.of(batch))));
    if (config.ridge().isEmpty()) {
      double probed = Math.min(RIDGE_IMAGES, images);
      stages.add(
          new TuningPlan.Stage(
              "ridge",
              loaded + vectors(1),
              probed * (speeds.forward() + RIDGE_PROBES * speeds.vjp())));
    }
    long factors = solver.preconditioned() ? factorBytes() : 0;
    if (solver.preconditioned()) {
      stages.add(
          new TuningPlan.Stage(
              "Kronecker factors", loaded + factors + eigenBytes(), factorSeconds()));
    }
    boolean kept = batch >= images && !solver.stochastic(); // then forward runs once
    double reading = held ? 0 : images * speeds.read();
    double perPass =
        images * speeds.vjp()
            + (kept ? images * speeds.jvp() : reading + images * speeds.forwardJvp());
    double first = fresh(memory.of(batch)) + (kept ? reading + images * speeds.forward() : 0);
    long copies = vectors(2); // of the result, on their way to the model
    int part = solver == Solver.CG ? this.part : 0;
    if (part > 0) {
      int partBatch = Math.min(part, batch);
      loaded += memory.of(partBatch) + part * image;
      stages.add(
          new TuningPlan.Stage(
              "preconditioner",
              loaded
                  - untouched(batch)
                  + part * image
                  + GramMatrix.bytes(network, layers, part, partBatch),
              fresh(memory.of(partBatch)) + gramSeconds(part, partBatch)));
      loaded += 8L * part * classes * part * classes;
      // H's products leave the part out, the preconditioner walks over it: twice if it is not kept.
      double beside =
          part > batch ? speeds.forward() : kept ? 0 : speeds.jvp() - speeds.forwardJvp();
      perPass += part * beside; // what all images cost
    }
    stages.add(
        switch (solver) {
          case CG, CG_KFAC -> {
            double iterations =
                SolverChoice.usualIterations(config, part, (double) images * classes);
            yield new TuningPlan.Stage(
                "solving by " + solver,
                loaded + factors + vectors(part > 0 ? 4 : 3) + copies,
                first + (2 + iterations) * (perPass + preconditionings(solver, 1)));
          }
          case SGD, SGD_KFAC ->
              new TuningPlan.Stage(
                  "solving by " + solver,
                  loaded + factors + vectors(3) + copies,
                  first
                      + (config.epochs() + 1) * perPass
                      + config.epochs() * preconditionings(solver, (images + batch - 1) / batch)
                      + rateSeconds(batch));
          case GRAM ->
              new TuningPlan.Stage(
                  "solving by " + solver,
                  loaded
                      + images * image // in tiles
                      + Math.max(
                          GramMatrix.bytes(network, layers, images, batch), vectors(2) + copies),
                  first + gramSeconds(images, batch) + GRAM_PASSES * perPass);
          case AUTO -> throw new AssertionError("chosen before");
        });
    return new TuningPlan(solver, choice.reason(), batch, held, base, stages, config.memory());
  }

  /** Of a plan, before the first pass over all images: the host gives memory when it is written. */
  private long untouched(int batch) {
    return lazy ? memory.more * Math.max(0, batch - RIDGE_IMAGES) : 0;
  }

  /** Seconds that memory takes when it is written for the first time. */
  private double fresh(long bytes) {
    return lazy ? bytes * speeds.newByte() : 0;
  }

  /** Of the largest Gram matrix that a solver in question would compute, 0 for none. */
  private long gramSide() {
    if (config.augment()) {
      return 0;
    }
    return switch (config.solver()) {
      case GRAM, AUTO -> (long) classes * (GramMatrix.possible(images, classes) ? images : part);
      case CG -> (long) classes * part;
      case CG_KFAC, SGD, SGD_KFAC -> 0;
    };
  }

  private double gramSeconds(int count, int batch) {
    GramWork work = GramWork.of(network, layers, count, batch);
    return work.network() * speeds.vjp() / (2 * macs)
        + work.products() * speeds.product()
        + fresh(GramMatrix.bytes(network, layers, count, batch));
  }

  /** Finding the learning rate, where none is given. */
  private double rateSeconds(int batch) {
    return config.rate().isPresent()
        ? 0
        : LargestEigenvalue.PRODUCTS * batch * (speeds.jvp() + speeds.vjp());
  }

  /** So many times the damped inverse of the Kronecker factors; 0 for solvers without. */
  private double preconditionings(Solver solver, int count) {
    if (!solver.preconditioned()) {
      return 0;
    }
    double multiplyAdds = 0; // to the eigenvectors and back
    for (ParameterBlock block : network.blocks()) {
      if (layers.contains(block.node())) {
        double in = block.in() + 1.0;
        multiplyAdds += 2 * in * block.out() * (in + block.out());
      }
    }
    return count * multiplyAdds * speeds.jvp() / (2 * macs);
  }

  private long parameters() {
    return network.parameters();
  }

  /** Bytes of that many vectors of parameters. */
  private long vectors(int count) {
    return 4L * count * parameters();
  }

  /** Sums in double, eigenvectors in float, and the scratch of a step. */
  private long factorBytes() {
    return (long) (12 * factorPowers(2)) + vectors(2);
  }

  /** Workspace of the largest eigendecomposition: a copy and LAPACK's two. */
  private long eigenBytes() {
    long largest =
        network.blocks().stream()
            .mapToLong(block -> Math.max(block.in() + 1L, block.out()))
            .max()
            .orElse(0);
    return 24 * largest * largest;
  }

  private double factorSeconds() {
    double walks = images * (2 * speeds.forward() + classes * speeds.vjp() / 2);
    return walks + EIGEN_FLOPS * factorPowers(3) * speeds.forward() / (2 * macs);
  }

  private double factorPowers(double exponent) {
    double sum = 0;
    for (ParameterBlock block : network.blocks()) {
      if (layers.contains(block.node())) {
        sum += Math.pow(block.in() + 1.0, exponent) + Math.pow(block.out(), exponent);
      }
    }
    return sum;
  }

  /** Resident bytes of this process; 0 where the system does not tell. */
  private static long resident() {
    try {
      String pages = Files.readString(Path.of("/proc/self/statm")).split(" ", -1)[1];
      return 4096 * Long.parseLong(pages);
    } catch (IOException | NumberFormatException e) {
      return 0;
    }
  }
}
