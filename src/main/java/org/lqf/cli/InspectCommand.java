package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code lqf inspect}: a model file in, what it says about itself out. */
@Command(
    name = "inspect",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description =
        "Shows what a model is, from what and how it was made, and what is proven about it. "
            + "The content digest inside the file is checked.",
    footerHeading = "%nExamples:%n",
    footer = {"  lqf inspect photos.lqf", "  lqf inspect photos.lqf --json"})
final class InspectCommand implements Callable<Integer> {

  @Parameters(paramLabel = "MODEL.lqf", arity = "1", description = "Written by lqf tune.")
  private @Nullable Path file;

  @Option(names = "--json", description = "Prints it for machines.")
  private boolean json;

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    Path path = Objects.requireNonNull(file);
    LinearisedModel model = ModelFile.read(path);
    PrintWriter out = Objects.requireNonNull(spec).commandLine().getOut();
    if (json) {
      out.print(metrics(path, model).json());
    } else {
      print(new ResultTable(out), path, model);
    }
    out.flush();
    return 0;
  }

  private static void print(ResultTable table, Path path, LinearisedModel model)
      throws IOException {
    LinearisedModel.Origin origin = model.origin();
    LinearisedModel.Fit fit = model.fit();
    table
        .line("model", path.toString())
        .line("file", "%d bytes, SHA-256 %s".formatted(Files.size(path), Digests.sha256(path)))
        .line("written by", "lqf %s".formatted(origin.version()))
        .line("backbone", "%s, digest %s".formatted(origin.backbone(), origin.backboneDigest()))
        .line("backbone file", place(path, model))
        .line("images", "%d, digest %s".formatted(fit.samples(), origin.dataDigest()))
        .line(
            "classes", "%d: %s".formatted(model.labels().size(), String.join(", ", model.labels())))
        .line("input", model.input().toString())
        .line(
            "linearised",
            "%d layers: %s".formatted(model.linearised().layers().size(), model.linearised()))
        .line(
            "solver",
            "%s, %d iterations, seed %d".formatted(fit.solver(), fit.iterations(), fit.seed()))
        .line("ridge", String.valueOf(fit.ridge()))
        .line("target scale", String.valueOf(fit.targetScale()))
        .certificate(fit.certificate())
        .line(
            "distance",
            "%.3g: Δ is at most this far from the one optimum"
                .formatted(fit.certificate().distance()))
        .line("delta", "[%d], norm %.6g".formatted(model.delta().length, norm(model.delta())))
        .line(
            "head.weight",
            "[%d, %d], norm %.6g"
                .formatted(
                    model.labels().size(),
                    model.headWeight().length / model.labels().size(),
                    norm(model.headWeight())))
        .line(
            "head.bias",
            "[%d], norm %.6g".formatted(model.headBias().length, norm(model.headBias())));
    for (Provenance.Event event : model.provenance().history()) {
      table.line("changed", change(event));
    }
  }

  /** A sentence; the digests of single files are in the JSON. */
  private static String change(Provenance.Event event) {
    StringBuilder text = new StringBuilder(event.kind());
    if (!event.removed().isEmpty()) {
      text.append(", %d images out".formatted(event.removed().size()));
    }
    if (!event.removedClasses().isEmpty()) {
      text.append(" with class ").append(String.join(", ", event.removedClasses()));
    }
    if (!event.added().isEmpty()) {
      text.append(", %d images in".formatted(event.added().size()));
    }
    if (!event.addedClasses().isEmpty()) {
      text.append(" with class ").append(String.join(", ", event.addedClasses()));
    }
    return text.append(
            "; by %s, ‖∇L‖ %.3g, certified distance %.2g of ‖Δ‖; images before %s, after %s"
                .formatted(
                    event.route(),
                    event.gradientNorm(),
                    event.certifiedRelativeDistance(),
                    event.dataDigestBefore(),
                    event.dataDigestAfter()))
        .toString();
  }

  private static Metrics metrics(Path path, LinearisedModel model) throws IOException {
    return new Metrics()
        .put("fileBytes", Files.size(path))
        .put("fileSha256", Digests.sha256(path))
        .model(model)
        .put("backboneHint", model.origin().backboneHint())
        .put("labels", model.labels())
        .put("channels", model.input().channels())
        .put("height", model.input().height())
        .put("width", model.input().width())
        .put("mean", model.input().mean())
        .put("std", model.input().std())
        .put("linearised", new TreeMap<>(model.linearised().byLayer()))
        .put("certifiedDistance", model.fit().certificate().distance())
        .put("deltaNorm", norm(model.delta()))
        .put("headWeightNorm", norm(model.headWeight()))
        .put("headBiasNorm", norm(model.headBias()))
        .put("imagesNamed", model.provenance().images().size())
        .put("history", model.provenance().history());
  }

  private static String place(Path path, LinearisedModel model) throws IOException {
    String hint = model.origin().backboneHint();
    if (hint.isEmpty()) {
      return "not known; other commands need --backbone";
    }
    return hint + (Files.exists(ModelFile.hinted(path, model)) ? "" : " (is not there)");
  }

  private static double norm(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += (double) value * value;
    }
    return Math.sqrt(sum);
  }
}
