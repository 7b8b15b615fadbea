package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.lqf.solve.Progress;

class ProgressDisplayTest {

  private final StringWriter err = new StringWriter();

  @Test
  void paintsOneLineThatFitsTheTerminalAndLeavesNothing() {
    try (ProgressDisplay display = new ProgressDisplay(new PrintWriter(err), false, 40)) {
      display.phase("a part of the work with quite a long name");
      display.images(3, 4);
      display.note("a note");
      display.phase("testing");
    }
    assertEquals(
        "\ra part of the work with quite a long na\033[K"
            + "\r\033[Klqf: a note"
            + System.lineSeparator()
            + "\rtesting [                    ]\033[K"
            + "\r\033[K",
        err.toString());
  }

  @Test
  void printsPlainLinesWhereNobodyWatches() {
    try (ProgressDisplay display = new ProgressDisplay(new PrintWriter(err), false, 0)) {
      display.phase("reading images");
      for (int i = 0; i <= 1000; i++) {
        display.images(i, 1000); // far less than the seconds between two lines
      }
      display.phase("solving by cg");
    }
    String end = System.lineSeparator();
    assertEquals("lqf: reading images" + end + "lqf: solving by cg" + end, err.toString());
  }

  @Test
  void showsLossAndShareOfASolver() {
    ProgressDisplay display = new ProgressDisplay(new PrintWriter(err), false, 100);
    display.phase("solving by cg");
    assertEquals(
        "solving by cg [=====               ]  25 %, iteration 3, loss 1.5000, ‖∇L‖ 0.25",
        display.line(new Progress.Step(3, 0.25, 1.5, 0.25), 1));
    assertEquals( // an estimate may go back, the bar does not; the loss may be unknown
        "solving by cg [=====               ]  25 %, iteration 4",
        display.line(new Progress.Step(4, 0.2, Double.NaN, Double.NaN), 1));
    assertEquals( // half of the work that was left after the first report took 60 s
        "solving by cg [=============       ]  63 %, 1:00 left, iteration 9",
        display.line(new Progress.Step(9, 0.625, Double.NaN, Double.NaN), 60));
    assertEquals(
        "solving by cg [=============       ]  63 %, 1:00:05 left, iteration 9",
        display.line(new Progress.Step(9, 0.625, Double.NaN, Double.NaN), 3605));
    display.close();
  }

  @Test
  void quietIsQuiet() {
    try (ProgressDisplay display = new ProgressDisplay(new PrintWriter(err), true, 80)) {
      display.phase("reading images");
      display.note("a note");
      display.images(1, 2);
    }
    assertTrue(err.toString().isEmpty(), err.toString());
  }
}
