package org.lqf.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The kernels of a build: what nvcc kept, and how the tests launched them. */
final class Kernels {

  private static final Pattern LITERAL =
      Pattern.compile("L(b|i|NS[0-9_]*[0-9]+[A-Za-z]+E)([0-9]+)E");

  /** The enumerators of template arguments, by the name of their enum. */
  private static final Map<String, List<String>> ENUMERATORS =
      Map.of(
          "Precision",
          List.of("fp32", "tf32", "bf16"),
          "Tile",
          List.of("wide", "middle", "small", "narrow32", "narrow16"));

  /**
   * A kernel for one architecture.
   *
   * @param label file, name and template arguments: {@code conv2d/conv2d_kernel<fp32,1,1,0,wide>}
   * @param threads of a block, 0 if no test launched it
   * @param sharedBytes that its launch asks for
   */
  record Built(String label, Cubin.Kernel kernel, int threads, int sharedBytes) {
    @Override
    public String toString() {
      return label + " sm_" + kernel.architecture();
    }
  }

  private Kernels() {}

  /**
   * Reads all {@code .cubin} files of a folder and, if it is there, {@code launches.csv}, which
   * {@code lqf_ptx_tests} writes.
   *
   * @return by label, then by architecture
   */
  static List<Built> read(Path folder) throws IOException {
    Map<String, String[]> launches = new TreeMap<>();
    Path table = folder.resolve("launches.csv");
    if (Files.exists(table)) {
      for (String line : Files.readAllLines(table)) {
        String[] fields = line.split(",");
        launches.put(fields[0], fields);
      }
    }
    List<Built> kernels = new ArrayList<>();
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".cubin")).toList()) {
        for (Cubin.Kernel kernel : Cubin.read(file)) {
          String[] launch = launches.getOrDefault(kernel.name(), new String[] {"", "0", "0"});
          String source = String.valueOf(file.getFileName()).replaceAll("\\..*", "");
          kernels.add(
              new Built(
                  source + "/" + shortName(kernel.name()),
                  kernel,
                  Integer.parseInt(launch[1]),
                  Integer.parseInt(launch[2])));
        }
      }
    }
    kernels.sort(
        Comparator.comparing(Built::label).thenComparing(built -> built.kernel().architecture()));
    return kernels;
  }

  /** The last name of a mangled one, with the numbers of its template arguments. */
  static String shortName(String mangled) {
    int at = mangled.startsWith("_ZN") ? 3 : 2;
    String name = mangled;
    while (at < mangled.length() && Character.isDigit(mangled.charAt(at))) {
      int digits = at;
      while (Character.isDigit(mangled.charAt(digits))) {
        digits++;
      }
      int end = digits + Integer.parseInt(mangled.substring(at, digits));
      name = mangled.substring(digits, end);
      at = end;
    }
    if (at >= mangled.length() || mangled.charAt(at) != 'I') {
      return name;
    }
    List<String> arguments = new ArrayList<>();
    Matcher literal = LITERAL.matcher(mangled).region(at + 1, mangled.length());
    while (literal.lookingAt()) {
      String type = literal.group(1);
      String number = literal.group(2);
      arguments.add(
          ENUMERATORS.entrySet().stream()
              .filter(e -> type.contains(e.getKey()))
              .map(e -> e.getValue().get(Integer.parseInt(number)))
              .findFirst()
              .orElse(number));
      literal.region(literal.end(), mangled.length());
    }
    return name + "<" + String.join(",", arguments) + ">";
  }
}
