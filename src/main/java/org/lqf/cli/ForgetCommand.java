package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.ClassChange;
import org.lqf.explain.DualFile;
import org.lqf.image.ImageFolder;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code lqf forget}: a model and names of its images in, the model without them out. */
@Command(
    name = "forget",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Takes training images out of a model. The result is that of a training from scratch on the "
          + "images that are left, from the same linearisation point (the network and the head), "
          + "with a receipt of what is proven about it.",
      "The forgotten images are not needed any more: their files may be gone already. The head was "
          + "computed once from all images of the first training; --new-head computes it anew, so "
          + "that nothing in the model depends on what was forgotten."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf forget photos.lqf --data photos/ --remove cat/a.jpg cat/b.jpg --out new.lqf",
      "  lqf forget photos.lqf --data photos/ --remove-list names.txt --out new.lqf --receipt r.json",
      "  lqf forget photos.lqf --data photos/ --remove-class cat --out new.lqf",
      "  lqf forget photos.lqf --data photos/ --dual photos.dual --remove cat/a.jpg --out new.lqf"
    })
final class ForgetCommand implements Callable<Integer> {

  @Mixin private final ChangeOptions options = new ChangeOptions();

  @Option(
      names = "--remove",
      paramLabel = "IMAGE",
      arity = "1..*",
      description = "CLASS/file as in the training folder, or the path of a file with its bytes.")
  private List<String> images = List.of();

  @Option(
      names = "--remove-list",
      paramLabel = "FILE",
      description =
          "Names of images, a line each; blank lines and lines that begin with # are none.")
  private @Nullable Path list;

  @Option(
      names = "--remove-class",
      paramLabel = "CLASS",
      description = "All images of the class, and the class: the new model has no output for it.")
  private List<String> classes = List.of();

  @Option(
      names = "--new-head",
      description =
          "Computes the linear probe, which the head is, from the images that are left, and solves "
              + "from there. Takes as long as a training.")
  private boolean newHead;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    if (images.isEmpty() && list == null && classes.isEmpty()) {
      throw new ParameterException(
          command.commandLine(),
          "name what is to be forgotten: --remove, --remove-list or --remove-class");
    }
    List<Path> data = options.requiredData(command);
    ModelFile model = options.open();
    options.check(model);
    List<String> notes = new ArrayList<>();
    List<Provenance.Image> before = ModelImages.named(model.model(), data, notes);
    List<Provenance.Image> removed = removed(model.model(), before);
    try (ProgressDisplay display =
            new ProgressDisplay(command.commandLine().getErr(), options.quiet());
        Engine engine = options.device().open(command)) {
      int threads = options.device().threads();
      long start = System.nanoTime();
      ModelChange change = change(model, before, removed, classes, data, notes);
      if (newHead) {
        change = change.withNewHead(engine, threads, display);
      }
      notes.forEach(display::note);
      ModelChange.Result result;
      try (DualFile dual = dual(engine, model, change, threads, display)) {
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
      Engine engine, ModelFile model, ModelChange change, int threads, ProgressDisplay display)
      throws IOException {
    Path file = options.dual();
    return file == null || options.route() == ModelChange.Route.CG || !change.keepsHead()
        ? null
        : ModelChange.dual(engine, file, model, options.data(), threads, display);
  }

  private List<Provenance.Image> removed(LinearisedModel model, List<Provenance.Image> before)
      throws IOException {
    List<String> named = new ArrayList<>(images);
    if (list != null) {
      named.addAll(ImageNames.lines(list));
    }
    Set<Provenance.Image> removed = new LinkedHashSet<>(ImageNames.find(named, before));
    for (String name : classes) {
      if (!model.labels().contains(name)) {
        throw new IllegalArgumentException(
            "%s is no class of the model; it has %s"
                .formatted(name, String.join(", ", model.labels())));
      }
      before.stream()
          .filter(image -> ModelImages.folder(image.name()).equals(name))
          .forEach(removed::add);
    }
    return List.copyOf(removed);
  }

  /**
   * Describes the change.
   *
   * @param removed of before
   * @param classes that go with all their images
   * @throws IllegalArgumentException if too little would be left; says what
   */
  static ModelChange change(
      ModelFile model,
      List<Provenance.Image> before,
      List<Provenance.Image> removed,
      List<String> classes,
      List<Path> data,
      List<String> notes)
      throws IOException {
    List<Provenance.Image> left = new ArrayList<>(before);
    left.removeAll(Set.copyOf(removed));
    if (left.isEmpty()) {
      throw new IllegalArgumentException(
          "all %d images are to be removed; a model needs some".formatted(before.size()));
    }
    LinearisedModel start =
        classes.isEmpty()
            ? ClassChange.none(model.model(), left.size())
            : ClassChange.without(model.model(), classes, left.size());
    for (String label : start.labels()) {
      if (left.stream().noneMatch(image -> ModelImages.folder(image.name()).equals(label))) {
        throw new IllegalArgumentException(
            "no image of class %s would be left, and the model could never answer it; remove the class with --remove-class %s, or keep an image"
                .formatted(label, label));
      }
    }
    ImageFolder images = ModelImages.find(left, start.labels(), data, notes);
    return new ModelChange(
        "forget", model.model(), model.backbone(), before, start, images, removed, List.of());
  }
}
