package org.lqf.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.lqf.model.LinearisedModel;
import org.lqf.tune.Layers;
import org.lqf.tune.Solver;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** The program {@code lqf}. */
@Command(
    name = "lqf",
    subcommands = {
      TuneCommand.class,
      PlanCommand.class,
      EvaluateCommand.class,
      PredictCommand.class,
      InspectCommand.class,
      ExplainCommand.class,
      AuditCommand.class,
      CompareCommand.class,
      ForgetCommand.class,
      LearnCommand.class,
      VerifyForgetCommand.class,
      MergeCommand.class,
      PretrainCommand.class,
      AdaptCommand.class,
      HelpCommand.class
    },
    versionProvider = Main.Version.class,
    mixinStandardHelpOptions = true,
    description =
        "Fine-tunes a pre-trained image network by Linear Quadratic Fine-Tuning (LQF): "
            + "the network is linearised at its weights, so that training is one convex problem "
            + "with one optimum, and the result says how close to it it is.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  lqf tune                                    the shipped network on the shipped images",
      "  lqf tune --backbone net.json --data photos/ --out photos.lqf",
      "  lqf evaluate photos.lqf --data photos/test",
      "  lqf predict photos.lqf a.jpg b.png",
      "  lqf inspect photos.lqf",
      "  lqf explain photos.lqf a.jpg --data photos/train",
      "  lqf audit photos.lqf --data photos/train",
      "  lqf forget photos.lqf --data photos/ --remove cat/a.jpg --out new.lqf",
      "  lqf pretrain --data photos/ --out net.json",
      "  lqf adapt --backbone relu.json --data photos/ --out leaky.json",
      "",
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
      "LQF_JAVA_OPTS adds options for the JVM, such as -Xmx8g. LQF_DEBUG=1 shows stack traces."
    })
public final class Main implements Runnable {

  @Option(
      names = {"-v", "--verbose"},
      scope = ScopeType.INHERIT,
      description = "Show the stack trace of an error.")
  private boolean verbose;

  @Spec private @Nullable CommandSpec spec;

  private Main() {}

  public static void main(String[] args) {
    Locale.setDefault(Locale.ROOT); // numbers look the same everywhere
    System.setProperty("java.awt.headless", "true"); // pictures need no display
    PrintWriter out = writer(FileDescriptor.out);
    PrintWriter err = writer(FileDescriptor.err);
    System.exit(run(out, err, args));
  }

  private static PrintWriter writer(FileDescriptor to) {
    return new PrintWriter(new FileOutputStream(to), true, StandardCharsets.UTF_8);
  }

  /** Runs one command line in this process; gives its exit code. */
  static int run(PrintWriter out, PrintWriter err, String... args) {
    Main main = new Main();
    return new CommandLine(main)
        .setOut(out)
        .setErr(err)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setUsageHelpAutoWidth(false)
        .setUsageHelpWidth(100)
        .registerConverter(Solver.class, text -> convert(() -> Solver.of(text)))
        .registerConverter(ByteSize.class, text -> convert(() -> ByteSize.parse(text)))
        .registerConverter(Layers.class, text -> convert(() -> Layers.parse(text)))
        .setParameterExceptionHandler((error, arguments) -> Failures.usage(error))
        .setExecutionExceptionHandler(
            (error, command, parsed) ->
                Failures.report(error, err, main.verbose || System.getenv("LQF_DEBUG") != null))
        .execute(args);
  }

  private interface Conversion<T> {
    T value();
  }

  private static <T> T convert(Conversion<T> conversion) {
    try {
      return conversion.value();
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }

  /** Without a command. */
  @Override
  public void run() {
    if (spec != null) {
      throw new ParameterException(
          spec.commandLine(),
          "expected a command: " + String.join(", ", spec.subcommands().keySet()));
    }
  }

  /** What {@code --version} prints. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {
        "lqf " + LinearisedModel.VERSION,
        "Java "
            + System.getProperty("java.version")
            + " ("
            + System.getProperty("java.vendor")
            + ")"
      };
    }
  }
}
