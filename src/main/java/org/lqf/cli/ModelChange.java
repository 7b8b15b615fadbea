package org.lqf.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.Change;
import org.lqf.explain.ClassChange;
import org.lqf.explain.DualFile;
import org.lqf.explain.FittedModel;
import org.lqf.explain.Receipt;
import org.lqf.explain.Unlearner;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.solve.GramMatrix;
import org.lqf.tune.FreeMemory;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.Solver;
import org.lqf.tune.SolverChoice;
import org.lqf.tune.TrainingImages;

/**
 * A change of the images of a model: what is wanted, and how it is solved.
 *
 * @param kind "forget", "learn" or "merge"
 * @param before the model
 * @param backbone its network, as it came
 * @param imagesBefore of the model, in its order
 * @param start the linearisation point and Δ that the search starts from, with the classes and the
 *     number of images of the model after
 * @param images of the model after: those of before without the removed ones, then the added ones;
 *     null where they are not there, which {@link #solve} needs
 * @param removed named by the model
 * @param added named by their folder
 */
record ModelChange(
    String kind,
    LinearisedModel before,
    Backbone backbone,
    List<Provenance.Image> imagesBefore,
    LinearisedModel start,
    @Nullable ImageFolder images,
    List<Provenance.Image> removed,
    List<Provenance.Image> added) {

  private static final int ONE_PASS = 64; // images handed over at once where passes are few

  /** How to solve. */
  enum Route {
    AUTO,
    GRAM,
    CG;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** The new model and what is known about it. */
  record Result(LinearisedModel model, Provenance.Event event, Receipt receipt) {}

  List<String> removedClasses() {
    return before.labels().stream().filter(label -> !start.labels().contains(label)).toList();
  }

  List<String> addedClasses() {
    return start.labels().stream().filter(label -> !before.labels().contains(label)).toList();
  }

  /** Whether the outputs that stay have the f(x; w0) and the J that they had. */
  boolean keepsHead() {
    int features = before.headWeight().length / before.headBias().length;
    float[] was = before.headWeight();
    float[] is = start.headWeight();
    for (int c = 0; c < start.labels().size(); c++) {
      int old = before.labels().indexOf(start.labels().get(c));
      for (int k = 0; old >= 0 && k < features; k++) {
        if (was[old * features + k] != is[c * features + k]) {
          return false;
        }
      }
    }
    return true;
  }

  /**
   * Solves.
   *
   * @param dual of the images before, or null: without
   */
  Result solve(
      Engine engine, Route route, @Nullable DualFile dual, int threads, ProgressDisplay display)
      throws IOException {
    display.phase("reading images");
    Backbone network = start.attach(backbone);
    TrainingImages samples = TrainingImages.of(start, network, presentImages(), threads, display);
    DualFile serving = route != Route.CG && dual != null && serves(dual, display) ? dual : null;
    if (serving != null && added.isEmpty()) {
      samples = samples.inBatchesOf(ONE_PASS); // keeping all images pays from several passes on
    }
    try (FittedModel after = FittedModel.open(engine, backbone, start, samples, samples.batch())) {
      return result(
          serving == null ? change(after, route, display) : byDual(after, serving, display));
    }
  }

  /**
   * Trains from scratch on the images after: from Δ = 0 at the same linearisation point, by the
   * solver that {@code lqf tune} would choose, to its tolerance.
   */
  Result retrain(Engine engine, int threads, ProgressDisplay display) throws IOException {
    LinearisedModel zero = ClassChange.withDelta(start, new float[start.delta().length]);
    Backbone network = zero.attach(backbone);
    TrainingImages samples = TrainingImages.of(zero, network, presentImages(), threads, display);
    try (FittedModel after = FittedModel.open(engine, backbone, zero, samples, samples.batch())) {
      Unlearner.Scope scope = scope();
      SolverChoice choice = SolverChoice.usual(after.plan(), after.images());
      display.work("training from scratch by " + choice.solver());
      LqfConfig tune = LqfConfig.defaults();
      return result(
          choice.solver() == Solver.GRAM
              ? Unlearner.DEFAULT.anew(after, scope, display::step)
              : new Unlearner(tune.tolerance(), tune.iterations())
                  .polish(after, scope, display::step));
    }
  }

  private Change change(FittedModel after, Route route, ProgressDisplay display)
      throws IOException {
    Unlearner unlearner = Unlearner.DEFAULT;
    Unlearner.Scope scope = scope();
    boolean fits = GramMatrix.fits(after.plan(), after.images(), FreeMemory.bytes());
    if (route == Route.GRAM && !fits) {
      throw new IllegalArgumentException(
          "%d images × %d classes need a Gram matrix of %.1f GB with its workspace, more than half of the %.1f GB that are free; use --route cg"
              .formatted(
                  after.images(),
                  after.classes(),
                  GramMatrix.bytes(after.plan(), after.images()) / 1e9,
                  FreeMemory.bytes() / 1e9));
    }
    boolean gram =
        route == Route.GRAM
            || (route == Route.AUTO
                && fits
                && SolverChoice.usual(after.plan(), after.images()).solver() == Solver.GRAM);
    display.phase(gram ? "solving by gram" : "solving by cg");
    return gram
        ? unlearner.anew(after, scope, display::step)
        : unlearner.polish(after, scope, display::step);
  }

  /** Whether this dual can serve; if not, a note says why. */
  private boolean serves(DualFile file, ProgressDisplay display) {
    if (added.isEmpty()) {
      int[] rows = file.rowsWithout(imagesAfter(), start.labels());
      if (rows == null) {
        display.note("the Gram inverse is of other images; going on without it");
      } else if (!Unlearner.fitsRows(file.dual(), rows.length)) {
        display.note("too much is removed for the Gram inverse; going on without it");
      } else {
        return true;
      }
    } else if (!removed.isEmpty()
        || !file.labels().equals(start.labels())
        || !file.images().equals(imagesBefore)) {
      display.note("the Gram inverse is of other images or classes; images are added without it");
    } else if (!Unlearner.fitsDual(file.dual(), added.size())) {
      display.note("too much is added for the Gram inverse; going on without it");
    } else {
      return true;
    }
    return false;
  }

  /** By a dual that serves. */
  private Change byDual(FittedModel after, DualFile file, ProgressDisplay display)
      throws IOException {
    display.phase("solving by the Gram inverse");
    int[] rows = added.isEmpty() ? file.rowsWithout(imagesAfter(), start.labels()) : null;
    return rows == null
        ? Unlearner.DEFAULT.learn(after, file.dual(), scope())
        : Unlearner.DEFAULT.forget(after, file.dual(), rows, scope());
  }

  private Unlearner.Scope scope() {
    return new Unlearner.Scope(imagesBefore.size(), removed.size(), added.size());
  }

  /** The same from a head that is computed from the images after alone; Δ starts where it was. */
  ModelChange withNewHead(Engine engine, int threads, ProgressDisplay display) throws IOException {
    ModelFile model = new ModelFile(before, backbone);
    ProbeHead head = ProbeHead.of(engine, model, presentImages(), threads, display);
    return new ModelChange(
        kind,
        before,
        backbone,
        imagesBefore,
        ClassChange.withHead(start, head.weight(), head.bias()),
        images,
        removed,
        added);
  }

  /** Where the files are not there: of their names and digests, marked as such. */
  private String namesDigest() {
    StringBuilder text = new StringBuilder();
    for (Provenance.Image image : imagesAfter()) {
      text.append(image.sha256()).append("  ").append(image.name()).append('\n');
    }
    return "names:" + Digests.sha256(text.toString().getBytes(StandardCharsets.UTF_8));
  }

  ImageFolder presentImages() {
    return Objects.requireNonNull(images, "the images are not there");
  }

  /** The names of the images after, in their order. */
  List<Provenance.Image> imagesAfter() {
    List<Provenance.Image> after = new ArrayList<>(imagesBefore);
    after.removeAll(Set.copyOf(removed));
    after.addAll(added);
    return after;
  }

  /** The solution with what is told about it. */
  Result result(Change change) throws IOException {
    String digest = images == null ? namesDigest() : images.digest();
    Receipt receipt = change.receipt();
    Provenance.Event event =
        new Provenance.Event(
            kind,
            removed.stream().map(Provenance.Image::sha256).toList(),
            added.stream().map(Provenance.Image::sha256).toList(),
            removedClasses(),
            addedClasses(),
            before.origin().dataDigest(),
            digest,
            receipt.route(),
            receipt.certificate().gradientNorm(),
            receipt.certifiedRelativeDistance());
    Provenance provenance = before.provenance().after(event, imagesAfter());
    return new Result(change.applyTo(start, digest, provenance), event, receipt);
  }

  /**
   * The Gram inverse of a model's images: from a file if it is there, else computed and written.
   *
   * @param roots where all images of the model are; looked at only if it must be computed
   * @return owned by the caller
   */
  static DualFile dual(
      Engine engine,
      Path file,
      ModelFile model,
      List<Path> roots,
      int threads,
      ProgressDisplay display)
      throws IOException {
    if (Files.exists(file)) {
      display.phase("reading the Gram inverse");
      return DualFile.read(engine, file, model.model());
    }
    List<Provenance.Image> images = ModelImages.named(model.model(), roots, new ArrayList<>());
    OutputFile.check(file, DualFile.bytes(images.size(), model.model().labels().size()));
    DualFile dual = computeDual(engine, model, images, roots, threads, display);
    try {
      display.phase("writing the Gram inverse");
      DualFile.write(file, dual.dual(), model.model(), images);
      return dual;
    } catch (RuntimeException | IOException e) {
      dual.close();
      throw e;
    }
  }

  /**
   * The same, not written.
   *
   * @param images of the model, in its order
   */
  static DualFile computeDual(
      Engine engine,
      ModelFile model,
      List<Provenance.Image> images,
      List<Path> roots,
      int threads,
      ProgressDisplay display)
      throws IOException {
    try (TrainedModel trained = TrainedModel.open(engine, model, roots, threads, display)) {
      return new DualFile(trained.takeDual(), images, model.model().labels());
    }
  }
}
