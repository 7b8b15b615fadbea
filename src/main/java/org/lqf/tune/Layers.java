package org.lqf.tune;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.lqf.model.Backbone;
import org.lqf.model.ParameterBlock;

/**
 * Which conv2d and linear layers are linearised; the others stay at w0.
 *
 * @param last the last so many, or 0: see names
 * @param names these, or empty: all, or the last ones
 */
public record Layers(int last, List<String> names) {

  public static final Layers ALL = new Layers(0, List.of());

  public Layers {
    names = List.copyOf(names);
    if (last < 0 || (last > 0 && !names.isEmpty())) {
      throw new IllegalArgumentException("either the last 1 or more layers, or names");
    }
  }

  /** From {@code all}, {@code last-3}, or names with commas between. */
  public static Layers parse(String text) {
    if (text.equals("all")) {
      return ALL;
    }
    if (text.matches("last-[1-9][0-9]{0,6}")) {
      return new Layers(Integer.parseInt(text.substring("last-".length())), List.of());
    }
    List<String> names = Arrays.stream(text.split(",")).map(String::strip).toList();
    if (names.isEmpty() || names.contains("")) {
      throw new IllegalArgumentException(
          "linearise \"%s\": expected all, last-K, or names with commas between".formatted(text));
    }
    return new Layers(0, names);
  }

  /**
   * The names chosen of a network with its head, in node order.
   *
   * @throws IllegalArgumentException if a name is none of its conv2d and linear nodes; lists them
   */
  public Set<String> of(Backbone network) {
    List<String> all = network.blocks().stream().map(ParameterBlock::node).toList();
    if (!names.isEmpty()) {
      List<String> unknown = new ArrayList<>(names);
      unknown.removeAll(all);
      if (!unknown.isEmpty()) {
        throw new IllegalArgumentException(
            "no conv2d or linear node %s in \"%s\"; it has %s"
                .formatted(unknown, network.name(), String.join(", ", all)));
      }
      Set<String> chosen = new LinkedHashSet<>(all);
      chosen.retainAll(names);
      return chosen;
    }
    int from = last == 0 ? 0 : Math.max(0, all.size() - last);
    return new LinkedHashSet<>(all.subList(from, all.size()));
  }
}
