package org.lqf.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.lqf.engine.LqfException;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** Says in a sentence what went wrong. */
final class Failures {

  private Failures() {}

  /** For a command line that makes no sense. */
  static int usage(ParameterException error) {
    CommandLine command = error.getCommandLine();
    PrintWriter err = command.getErr();
    err.printf(
        "lqf: %s; see %s --help%n", error.getMessage(), command.getCommandSpec().qualifiedName());
    UnmatchedArgumentException.printSuggestions(error, err);
    return CommandLine.ExitCode.USAGE;
  }

  /** For everything else. */
  static int report(Throwable error, PrintWriter err, boolean trace) {
    err.println("lqf: " + sentence(error));
    if (trace) {
      error.printStackTrace(err);
    }
    err.flush();
    return CommandLine.ExitCode.SOFTWARE;
  }

  private static String sentence(Throwable error) {
    if (error instanceof UncheckedIOException unchecked && unchecked.getCause() != null) {
      return sentence(unchecked.getCause());
    }
    if (error instanceof IOException io) {
      return sentence(io);
    }
    if (error instanceof OutOfMemoryError) {
      return "Java's memory of %d MB is full; give it more, such as LQF_JAVA_OPTS=-Xmx8g, or use a smaller --size"
          .formatted(Runtime.getRuntime().maxMemory() >> 20);
    }
    String message = error.getMessage();
    boolean explained =
        error instanceof IllegalArgumentException
            || error instanceof ArithmeticException
            || (error instanceof LqfException lqf && lqf.status() != LqfException.Status.INTERNAL);
    return explained && message != null
        ? message
        : "a defect of lqf: " + error + "; run again with -v and report what it prints";
  }

  /** The JDK's file exceptions often say no more than a name. */
  static String sentence(IOException error) {
    if (error instanceof NoSuchFileException missing) {
      return missing.getFile() + ": there is no such file";
    }
    if (error instanceof AccessDeniedException denied) {
      return denied.getFile() + ": permission denied";
    }
    if (error instanceof FileSystemException file && file.getReason() == null) {
      return file.getFile() + ": " + file.getClass().getSimpleName();
    }
    String message = error.getMessage();
    return message == null ? error.toString() : message;
  }

  /** The same with the file in front where the sentence does not name it. */
  static String sentence(Path file, IOException error) {
    String sentence = sentence(error);
    return sentence.contains(file.toString()) ? sentence : file + ": " + sentence;
  }
}
