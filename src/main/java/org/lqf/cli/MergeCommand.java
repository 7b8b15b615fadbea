package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.explain.Change;
import org.lqf.explain.ClassChange;
import org.lqf.explain.JacobianFile;
import org.lqf.explain.ShardMerge;
import org.lqf.image.ImageFolder;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code lqf merge}: models of disjoint images in, the model of all these images out. */
@Command(
    name = "merge",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Merges models that were tuned on different images from one linearisation point (lqf tune "
          + "--like). The result is that of a training on all images, which no average of the "
          + "models is: each direction of Δ is weighted by how much each set of images says of it.",
      "Either with the images (--data), or without: with a file for each model that --keep wrote "
          + "where its images were. Such a file has J: 4 · images · classes · parameters bytes."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf tune --data b/ --like a.lqf --out b.lqf",
      "  lqf merge a.lqf b.lqf --data a/ --data b/ --out both.lqf",
      "  lqf merge a.lqf --data a/ --keep a.jacobian",
      "  lqf merge a.lqf b.lqf --jacobian a.jacobian --jacobian b.jacobian --out both.lqf"
    })
final class MergeCommand implements Callable<Integer> {

  @Mixin private final ChangeOptions options = new ChangeOptions();

  @Parameters(
      index = "1..*",
      arity = "0..*",
      paramLabel = "MODEL.lqf",
      description = "Models of other images, from the same linearisation point.")
  private List<Path> others = List.of();

  @Option(
      names = "--jacobian",
      paramLabel = "FILE",
      description = "Instead of the images: what --keep wrote, one for each model, in their order.")
  private List<Path> jacobians = List.of();

  @Option(
      names = "--keep",
      paramLabel = "FILE",
      description = "Writes J of one model's images, for a later merge without them.")
  private @Nullable Path keep;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    checkUsage(command);
    ModelFile first = options.open();
    List<LinearisedModel> models = new ArrayList<>(List.of(first.model()));
    for (Path file : others) {
      models.add(ModelFile.read(file));
    }
    checkModels(models);
    options.check(first);
    PrintWriter out = command.commandLine().getOut();
    try (ProgressDisplay display =
            new ProgressDisplay(command.commandLine().getErr(), options.quiet());
        Engine engine = options.device().open(command)) {
      if (keep != null) {
        keep(engine, first, keep, display);
        out.println("wrote " + keep);
        out.flush();
        return 0;
      }
      long start = System.nanoTime();
      ModelChange change = change(first, models, display);
      ModelChange.Result result =
          jacobians.isEmpty()
              ? change.solve(engine, options.route(), null, options.device().threads(), display)
              : change.result(withoutImages(engine, models, display));
      display.clear();
      double seconds = (System.nanoTime() - start) / 1e9;
      new ChangeReceipt(change, result, options, engine, seconds).finish(out);
    }
    return 0;
  }

  private void checkUsage(CommandSpec command) {
    String wrong = null;
    if (options.dual() != null) {
      wrong = "--dual is of no use here";
    } else if (keep != null && !others.isEmpty()) {
      wrong = "--keep is for one model at a time, got %d".formatted(1 + others.size());
    } else if (keep == null && others.isEmpty()) {
      wrong = "give at least two models";
    } else if (jacobians.isEmpty() && options.data().isEmpty()) {
      wrong = "give the images of all models by --data, or a --jacobian for each";
    } else if (!jacobians.isEmpty() && jacobians.size() != 1 + others.size()) {
      wrong =
          "give a --jacobian for each of the %d models, in their order, got %d"
              .formatted(1 + others.size(), jacobians.size());
    }
    if (wrong != null) {
      throw new ParameterException(command.commandLine(), wrong);
    }
  }

  /** That the models are of one point and of different images that they name. */
  private void checkModels(List<LinearisedModel> models) throws IOException {
    Map<String, Path> names = new HashMap<>();
    for (int m = 0; m < models.size(); m++) {
      LinearisedModel model = models.get(m);
      Path file = m == 0 ? options.file() : others.get(m - 1);
      ModelImages.checkWeights(model);
      if (!model.pointDigest().equals(models.get(0).pointDigest())) {
        throw new IllegalArgumentException(
            "%s and %s do not start from the same point (network, head, classes, layers, target scale and ridge), and Δ of one means nothing to the other; tune one with --like the other"
                .formatted(options.file(), file));
      }
      if (model.provenance().images().isEmpty()) {
        throw new IllegalArgumentException(file + " does not name its images; tune it anew");
      }
      for (Provenance.Image image : model.provenance().images()) {
        Path other = names.put(image.name(), file);
        if (other != null) {
          throw new IllegalArgumentException(
              "image %s is in %s and in %s and would count twice; forget it from one of them, or name the files apart"
                  .formatted(image.name(), other, file));
        }
      }
    }
  }

  private void keep(Engine engine, ModelFile model, Path file, ProgressDisplay display)
      throws IOException {
    LinearisedModel content = model.model();
    List<Provenance.Image> images = content.provenance().images();
    long bytes = JacobianFile.bytes(images.size(), content.labels().size(), content.delta().length);
    if (bytes > Runtime.getRuntime().maxMemory() / 3) {
      throw new IllegalArgumentException(
          "J of %d images × %d classes × %d parameters has %.1f GB, too much for a third of Java's memory; merge with the images instead, or give it more by LQF_JAVA_OPTS=-Xmx…"
              .formatted(
                  images.size(), content.labels().size(), content.delta().length, bytes / 1e9));
    }
    OutputFile.check(file, bytes);
    int threads = options.device().threads();
    try (TrainedModel trained =
        TrainedModel.open(engine, model, options.data(), threads, display)) {
      display.phase("Jacobian");
      JacobianFile.of(trained.fitted(), images).write(file, content);
    }
    display.clear();
  }

  private ModelChange change(ModelFile first, List<LinearisedModel> models, ProgressDisplay display)
      throws IOException {
    List<Provenance.Image> all = new ArrayList<>();
    models.forEach(model -> all.addAll(model.provenance().images()));
    List<Provenance.Image> before = first.model().provenance().images();
    List<Provenance.Image> added = all.subList(before.size(), all.size());
    LinearisedModel start =
        ClassChange.withDelta(ClassChange.none(first.model(), all.size()), mean(models));
    ImageFolder images = null;
    if (jacobians.isEmpty()) {
      List<String> notes = new ArrayList<>();
      images = ModelImages.find(all, first.model().labels(), options.data(), notes);
      notes.forEach(display::note);
    }
    return new ModelChange(
        "merge", first.model(), first.backbone(), before, start, images, List.of(), added);
  }

  /** Σ NᵢΔᵢ/N: where the search starts, and no more than that. */
  private static float[] mean(List<LinearisedModel> models) {
    double images = models.stream().mapToDouble(model -> model.fit().samples()).sum();
    float[] mean = new float[models.get(0).delta().length];
    for (LinearisedModel model : models) {
      float[] delta = model.delta();
      for (int k = 0; k < mean.length; k++) {
        mean[k] += (float) (model.fit().samples() / images * delta[k]);
      }
    }
    return mean;
  }

  private Change withoutImages(Engine engine, List<LinearisedModel> models, ProgressDisplay display)
      throws IOException {
    display.phase("reading Jacobians");
    List<JacobianFile> shards = new ArrayList<>();
    for (int m = 0; m < models.size(); m++) {
      shards.add(JacobianFile.read(jacobians.get(m), models.get(m)));
    }
    display.phase("solving by the Gram matrix of the shards");
    LinearisedModel first = models.get(0);
    return ShardMerge.of(engine, shards, first.labels().size(), first.fit().ridge(), first.delta());
  }
}
