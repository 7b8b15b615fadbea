package org.lqf.report;

import java.util.List;

/** One thing in a section of a {@link Page}; {@code page.ftlh} has a case for each kind. */
public sealed interface Block {

  /** Name of the case. */
  String kind();

  /** A paragraph. */
  record Text(String text) implements Block {
    @Override
    public String kind() {
      return "text";
    }
  }

  /**
   * Columns of text; those after the first are set as numbers.
   *
   * @param rows each as long as columns
   */
  record Table(List<String> columns, List<List<String>> rows) implements Block {
    public Table {
      columns = List.copyOf(columns);
      rows = rows.stream().map(List::copyOf).toList();
    }

    @Override
    public String kind() {
      return "table";
    }
  }

  /** Images side by side, as many in a row as the window has room for. */
  record Tiles(List<Tile> tiles) implements Block {
    public Tiles {
      tiles = List.copyOf(tiles);
    }

    @Override
    public String kind() {
      return "tiles";
    }
  }

  /**
   * A plot.
   *
   * @param says what can be seen, for those who cannot see it
   */
  record Picture(Plot plot, String says) implements Block {
    @Override
    public String kind() {
      return "picture";
    }
  }
}
