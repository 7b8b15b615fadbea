package org.lqf.tune;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.ImageDataset;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.ParameterBlock;
import org.lqf.solve.GramMatrix;
import org.lqf.solve.SubsampledHessian;

/**
 * Finds the fastest way to train within a budget of memory, and predicts what it will need.
 *
 * <p>Results depend on none of its choices but the solver's: batches and what is kept decide only
 * how often something is computed anew. On a GPU, memory is that of the process and of the device
 * together.
 */
final class Planner {

  private static final int MEASURED = 8; // images sent through the network
  private static final int LARGEST = 64; // images of a batch that are not all
  private static final int MOST = 1 << 16; // images that a plan can take
  private static final double MEMORY_SHARE = 0.5; // of the free memory: the budget if none is given

  /** What the process comes to hold besides: code compiled later, buffers of the libraries. */
  private static final long WORKING_BYTES = 40L << 20;

  private static final double EIGEN_FLOPS = 25; // of an eigendecomposition, times side³
  private static final int RIDGE_IMAGES = 64; // of RowNorm, at most
  private static final int RIDGE_PROBES = 4;

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

  /** Seconds an image. */
  private record Speed(double read, double forward, double jvp, double vjp) {
    double step() {
      return forward + jvp + vjp;
    }
  }

  private final ImageFolder folder;
  private final LqfConfig config;
  private final Backbone network;
  private final Set<String> layers;
  private final Memory memory;
  private final Memory features; // of the linear probe
  private final Speed speed;
  private final long base;
  private final long budget;
  private final int images;
  private final int classes;
  private final double macs;
  private final boolean lazy; // memory is the host's

  private Planner(Engine engine, Backbone sized, ImageFolder folder, LqfConfig config)
      throws IOException {
    this.folder = folder;
    this.config = config;
    lazy = !engine.describe().startsWith("cuda");
    images = folder.size();
    classes = folder.classes().size();
    Backbone cut = sized.cutAtFeatures();
    int width = cut.outputShape().channels();
    network =
        sized.withHead(
            new float[Math.multiplyExact(width, classes)], new float[classes], List.of());
    macs = Macs.of(network);
    layers = config.layers().of(network);
    int many = Math.min(images, LARGEST);
    try (Plan one = engine.compile(cut, Set.of(), 1);
        Plan most = engine.compile(cut, Set.of(), many)) {
      features = Memory.of(one, most);
    }
    try (Plan one = engine.compile(network, layers, 1);
        Plan most = engine.compile(network, layers, many)) {
      memory = Memory.of(one, most);
      speed = measure(engine, most);
    }
    base = resident() - memory.scratchOf(Math.min(images, MEASURED)) + WORKING_BYTES;
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
        gram == null ? Double.NaN : GramMatrix.work(classes, parameters(), images, macs);
    SolverChoice choice =
        SolverChoice.of(config, images, classes, parameters(), macs, gramWork, gram != null);
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
            held ? images * speed.read : 0));
    stages.add(
        new TuningPlan.Stage("linear probe", heap + features.of(batch), images * speed.forward));
    if (config.ridge().isEmpty()) {
      double probed = Math.min(RIDGE_IMAGES, images);
      stages.add(
          new TuningPlan.Stage(
              "ridge", loaded + vectors(1), probed * (speed.forward + RIDGE_PROBES * speed.vjp)));
    }
    long factors = solver.preconditioned() ? factorBytes() : 0;
    if (solver.preconditioned()) {
      stages.add(
          new TuningPlan.Stage(
              "Kronecker factors", loaded + factors + eigenBytes(), factorSeconds()));
    }
    boolean kept = batch >= images && !solver.stochastic(); // then forward runs once
    double reread = held ? 0 : speed.read;
    double perPass = images * ((kept ? 0 : speed.forward + reread) + speed.jvp + speed.vjp);
    long copies = vectors(2); // of the result, on their way to the model
    int part =
        solver == Solver.CG ? SubsampledHessian.size(images, classes, parameters(), macs) : 0;
    if (part > 0) {
      int partBatch = Math.min(part, batch);
      loaded += memory.of(partBatch) + part * image;
      stages.add(
          new TuningPlan.Stage(
              "preconditioner",
              loaded
                  - untouched(batch)
                  + part * image
                  + GramMatrix.bytes(part, classes, parameters(), partBatch),
              gramSeconds(part)));
      loaded += 8L * part * classes * part * classes;
      boolean partKept = part <= batch;
      perPass += part * ((partKept ? 0 : 2 * speed.forward) + speed.jvp + speed.vjp);
    }
    stages.add(
        switch (solver) {
          case CG, CG_KFAC ->
              new TuningPlan.Stage(
                  "solving by " + solver,
                  loaded + factors + vectors(3) + copies,
                  (2 + Math.min(SolverChoice.USUAL_ITERATIONS, config.iterations())) * perPass);
          case SGD, SGD_KFAC ->
              new TuningPlan.Stage(
                  "solving by " + solver,
                  loaded + factors + vectors(3) + copies,
                  config.epochs() * perPass);
          case GRAM ->
              new TuningPlan.Stage(
                  "solving by " + solver,
                  loaded
                      + images * image // in tiles
                      + Math.max(
                          GramMatrix.bytes(images, classes, parameters(), batch),
                          vectors(2) + copies),
                  gramSeconds(images));
          case AUTO -> throw new AssertionError("chosen before");
        });
    return new TuningPlan(solver, choice.reason(), batch, held, base, stages, config.memory());
  }

  /** Of a plan, before the first pass over all images: the host gives memory when it is written. */
  private long untouched(int batch) {
    return lazy ? memory.more * Math.max(0, batch - RIDGE_IMAGES) : 0;
  }

  private double gramSeconds(int count) {
    return GramMatrix.work(classes, parameters(), count, macs) * speed.step() / (5 * macs);
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
    double flops = 2 * macs / speed.forward; // a second
    return images * (2 * speed.forward + classes * speed.vjp)
        + EIGEN_FLOPS * factorPowers(3) / flops;
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

  /** Sends some images through, twice: the first time is not counted. */
  private Speed measure(Engine engine, Plan plan) throws IOException {
    int n = Math.min(images, MEASURED);
    ImageDataset dataset = ImageDataset.of(folder, TrainingImages.transform(network.input()));
    float[] batch = new float[n * dataset.floats()];
    double[] seconds = new double[4];
    try (DeviceVector delta = engine.vector(parameters());
        DeviceVector outputs = engine.vector((long) n * classes)) {
      for (int round = 0; round < 2; round++) {
        long start = System.nanoTime();
        for (int i = 0; i < n; i++) {
          dataset.read(i, batch, i * dataset.floats());
        }
        seconds[0] = lap(start, n) / config.readers();
        start = System.nanoTime();
        plan.forward(batch, n);
        engine.synchronise(); // a GPU only queues what it is asked for
        seconds[1] = lap(start, n);
        start = System.nanoTime();
        plan.jvp(delta, outputs);
        engine.synchronise();
        seconds[2] = lap(start, n);
        start = System.nanoTime();
        plan.vjp(outputs, delta);
        engine.synchronise();
        seconds[3] = lap(start, n);
      }
    }
    return new Speed(seconds[0], seconds[1], seconds[2], seconds[3]);
  }

  private static double lap(long start, int n) {
    return (System.nanoTime() - start) / 1e9 / n;
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
