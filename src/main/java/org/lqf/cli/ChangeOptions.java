package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.lqf.model.LinearisedModel;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

/** What the commands that change a model's images have in common. */
final class ChangeOptions {

  @Parameters(
      index = "0",
      paramLabel = "MODEL.lqf",
      arity = "1",
      description = "Written by lqf tune, forget, learn or merge.")
  private @Nullable Path file;

  @Option(
      names = "--data",
      paramLabel = "DIR",
      description =
          "Where the images are that it was trained on: a folder per class, or a folder with train/ and test/. "
              + "Others may lie beside them. Several times where they are in several places.")
  private List<Path> data = List.of();

  @Option(
      names = "--out",
      paramLabel = "FILE.lqf",
      description = "Where to write the new model. Without it nothing is saved.")
  private @Nullable Path out;

  @Option(names = "--force", description = "Replaces FILE.lqf if it is there.")
  private boolean force;

  @Option(
      names = "--receipt",
      paramLabel = "FILE.json",
      description =
          "Writes the receipt for machines, with the names of all files; it replaces the file. "
              + "People get it on stdout.")
  private @Nullable Path receipt;

  @Option(
      names = "--route",
      paramLabel = "auto|gram|cg",
      description =
          "gram is exact up to rounding and solves a system of images × classes; cg goes on from "
              + "the old solution. Default: auto, the quicker one that fits into memory.")
  private ModelChange.Route route = ModelChange.Route.AUTO;

  @Option(
      names = "--dual",
      paramLabel = "FILE",
      description =
          "The Gram inverse of the model's images, 4 · (images · classes)² bytes: taken from FILE if "
              + "it is there, else computed and written to it. With it a change takes seconds. It "
              + "serves later changes too, and has rows of the images that were forgotten: delete it "
              + "when these must go.")
  private @Nullable Path dual;

  @Option(
      names = "--backbone",
      paramLabel = "NET.json",
      description = "The network it was tuned from. Default: where the model says that it lies.")
  private @Nullable Path backbone;

  @Mixin private final EngineOptions device = new EngineOptions();

  @Option(names = "--quiet", description = "No progress, no notes: results and errors only.")
  private boolean quiet;

  Path file() {
    return Objects.requireNonNull(file);
  }

  /** May be empty. */
  List<Path> data() {
    return data;
  }

  /** At least one. */
  List<Path> requiredData(CommandSpec command) {
    if (data.isEmpty()) {
      throw new ParameterException(command.commandLine(), "Missing required option: '--data=DIR'");
    }
    return data;
  }

  @Nullable Path out() {
    return out;
  }

  @Nullable Path receipt() {
    return receipt;
  }

  ModelChange.Route route() {
    return route;
  }

  @Nullable Path dual() {
    return dual;
  }

  EngineOptions device() {
    return device;
  }

  boolean quiet() {
    return quiet;
  }

  ModelFile open() throws IOException {
    return ModelFile.open(file(), backbone);
  }

  /** Before the work: that its results can be stored. */
  void check(ModelFile model) throws IOException {
    if (out != null && Files.exists(out) && !force) {
      throw new IOException(out + " is already there; give --force to replace it");
    }
    if (out != null) {
      OutputFile.check(out, 8L * model.model().delta().length);
    }
    if (receipt != null) {
      OutputFile.check(receipt, 1);
    }
  }

  /** Where the network lies as seen from the new model. */
  String hint(LinearisedModel model) throws IOException {
    String old = model.origin().backboneHint();
    if (out == null || (old.isEmpty() && backbone == null)) {
      return old;
    }
    return ModelFile.hint(out, backbone != null ? backbone : ModelFile.hinted(file(), model));
  }
}
