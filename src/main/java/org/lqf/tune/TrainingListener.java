package org.lqf.tune;

import org.lqf.solve.Progress;

/**
 * Hears what a training does, on the thread that trains. May end it by an exception of its own; a
 * checkpoint then stays behind.
 */
public interface TrainingListener {

  TrainingListener NONE = new TrainingListener() {};

  /** How the training will run, before it begins. */
  default void plan(TuningPlan plan) {}

  /** A part of the work begins: a few words for people, such as "reading images". */
  default void phase(String name) {}

  /** Images of the current pass that are done; called often. */
  default void images(int done, int total) {}

  /** An iteration of the solver ended. */
  default void step(Progress.Step step) {}

  /** A sentence worth telling: the choice of a solver, a checkpoint that was taken up. */
  default void note(String sentence) {}
}
