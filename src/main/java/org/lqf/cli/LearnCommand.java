package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.ClassChange;
import org.lqf.explain.DualFile;
import org.lqf.image.ImageFile;
import org.lqf.image.ImageFolder;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.tune.TrainingImages;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code lqf learn}: a model and more images in, the model that knows them too out. */
@Command(
    name = "learn",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Puts more images into a model. The result is that of a training from scratch on all of them, "
          + "from the same linearisation point (the network and the head), with a receipt of what is "
          + "proven about it.",
      "A new class gets a row of the head of its own: that of the linear probe on all images. The "
          + "rows of the others are kept."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf learn photos.lqf --data photos/ --add more/ --out new.lqf",
      "      more/CLASS/*.jpg, under names that the model does not have yet",
      "  lqf learn photos.lqf --data photos/ --add dogs/ --new-classes --out new.lqf",
      "  lqf forget new.lqf --data photos/ --data more/ --remove cat/c.jpg --out newer.lqf"
    })
final class LearnCommand implements Callable<Integer> {

  @Mixin private final ChangeOptions options = new ChangeOptions();

  @Option(
      names = "--add",
      paramLabel = "DIR",
      required = true,
      description = "The new images, a folder per class.")
  private @Nullable Path add;

  @Option(
      names = "--new-classes",
      description = "Folders that are no class of the model become new classes.")
  private boolean newClasses;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    List<Path> data = options.requiredData(command);
    ModelFile model = options.open();
    options.check(model);
    List<String> notes = new ArrayList<>();
    ImageFolder added = ImageFolder.read(Objects.requireNonNull(add));
    TrainingData.addNotes(added, notes);
    List<String> unknown = new ArrayList<>(added.classes());
    unknown.removeAll(model.model().labels());
    if (!unknown.isEmpty() && !newClasses) {
      throw new IllegalArgumentException(
          "%s: unknown class %s; the model has %s. Rename or move these folders, or give --new-classes"
              .formatted(
                  added.root(),
                  String.join(", ", unknown),
                  String.join(", ", model.model().labels())));
    }
    ImageFolder known = ModelImages.find(model.model(), data, notes);
    List<Provenance.Image> before = ModelImages.named(model.model(), data, new ArrayList<>());
    List<Provenance.Image> more = TrainingImages.provenance(added).images();
    Set<String> names = new HashSet<>(before.stream().map(Provenance.Image::name).toList());
    for (Provenance.Image image : more) {
      if (names.contains(image.name())) {
        throw new IllegalArgumentException(
            "%s/%s: the model was trained on an image of this name; give the new one another name"
                .formatted(added.root(), image.name()));
      }
    }
    try (ProgressDisplay display =
            new ProgressDisplay(command.commandLine().getErr(), options.quiet());
        Engine engine = options.device().open(command)) {
      notes.forEach(display::note);
      int threads = options.device().threads();
      long start = System.nanoTime();
      ModelChange change =
          change(engine, model, before, known, added, more, unknown, threads, display);
      ModelChange.Result result;
      try (DualFile dual = dual(engine, model, unknown.isEmpty(), threads, display)) {
        result = change.solve(engine, options.route(), dual, threads, display);
      }
      display.clear();
      double seconds = (System.nanoTime() - start) / 1e9;
      new ChangeReceipt(change, result, options, engine, seconds)
          .finish(command.commandLine().getOut());
    }
    return 0;
  }

  private @Nullable DualFile dual(
      Engine engine, ModelFile model, boolean sameClasses, int threads, ProgressDisplay display)
      throws IOException {
    Path file = options.dual();
    if (file == null || options.route() == ModelChange.Route.CG || !sameClasses) {
      return null;
    }
    return ModelChange.dual(engine, file, model, options.data(), threads, display);
  }

  private static ModelChange change(
      Engine engine,
      ModelFile model,
      List<Provenance.Image> before,
      ImageFolder known,
      ImageFolder added,
      List<Provenance.Image> more,
      List<String> unknown,
      int threads,
      ProgressDisplay display)
      throws IOException {
    List<String> labels = new ArrayList<>(model.model().labels());
    labels.addAll(unknown);
    List<ImageFile> files = new ArrayList<>(known.images());
    for (ImageFile image : added.images()) {
      int label = labels.indexOf(added.classes().get(image.label()));
      files.add(new ImageFile(image.path(), image.relativeName(), label));
    }
    ImageFolder all = known.with(labels, files);
    LinearisedModel start = ClassChange.none(model.model(), all.size());
    if (!unknown.isEmpty()) {
      ProbeHead head = ProbeHead.of(engine, model, all, threads, display);
      int old = model.model().labels().size();
      start =
          ClassChange.with(model.model(), unknown, head.weight(old), head.bias(old), all.size());
    }
    return new ModelChange(
        "learn", model.model(), model.backbone(), before, start, all, List.of(), more);
  }
}
