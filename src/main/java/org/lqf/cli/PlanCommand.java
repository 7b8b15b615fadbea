package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.lqf.engine.Engine;
import org.lqf.image.ImageFolder;
import org.lqf.model.Backbone;
import org.lqf.tune.LqfConfig;
import org.lqf.tune.LqfTrainer;
import org.lqf.tune.TuningPlan;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code lqf plan}: what {@code lqf tune} with the same options would need. */
@Command(
    name = "plan",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Says what lqf tune with the same data, network, solver and limits would need: memory and "
          + "seconds of each stage, the solver it would take and why. Sends a few images through the "
          + "network to find out.",
      "Without options: the shipped network on the shipped images."
    })
final class PlanCommand implements Callable<Integer> {

  @Mixin private final TuneInput input = new TuneInput();
  @Mixin private final TuneOptions options = new TuneOptions();
  @Mixin private final EngineOptions device = new EngineOptions();

  @Spec private @Nullable CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    CommandSpec command = Objects.requireNonNull(spec);
    LqfConfig config =
        ImageOptions.usage(command, () -> options.config(Math.max(1, device.threads())));
    input.check(command);
    Backbone network = ModelFile.readBackbone(input.graph(command));
    TrainingData images = input.images(command, options.seed());
    try (Engine engine = device.open(command)) {
      images.notes().forEach(note -> command.commandLine().getErr().println("lqf: " + note));
      print(
          command.commandLine().getOut(),
          images.train(),
          LqfTrainer.plan(engine, network, images.train(), config));
    }
    return 0;
  }

  private static void print(PrintWriter out, ImageFolder images, TuningPlan plan) {
    new ResultTable(out)
        .line("images", "%d in %d classes".formatted(images.size(), images.classes().size()))
        .line("solver", "%s (%s)".formatted(plan.solver(), plan.reason()))
        .line("at a time", "%d images".formatted(plan.batch()))
        .line("pixels", plan.imagesHeld() ? "held in memory" : "decoded anew in every pass");
    out.printf("%n%-25s %10s %12s%n", "stage", "seconds", "memory");
    for (TuningPlan.Stage stage : plan.stages()) {
      out.printf(
          "%-25s %10.1f %9d MB%n",
          stage.name(), stage.seconds(), (plan.baseBytes() + stage.bytes()) >> 20);
    }
    out.printf("%-25s %10.1f %9d MB", "all", plan.seconds(), plan.peakBytes() >> 20);
    out.println(
        plan.budget().isEmpty() ? "" : " of %d MB".formatted(plan.budget().getAsLong() >> 20));
    out.flush();
  }
}
