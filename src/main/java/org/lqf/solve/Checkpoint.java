package org.lqf.solve;

import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Keeps the state of a solver, so that a killed run goes on where it was and ends with the same
 * bits.
 */
public interface Checkpoint {

  /** Keeps nothing. */
  Checkpoint NONE =
      new Checkpoint() {
        @Override
        public Optional<State> restore() {
          return Optional.empty();
        }

        @Override
        public void offer(Supplier<State> state) {}
      };

  /**
   * Everything a solver needs to go on.
   *
   * @param iteration finished ones
   * @param numbers by name
   * @param vectors by name
   */
  record State(int iteration, Map<String, Double> numbers, Map<String, float[]> vectors) {

    /**
     * The number of this name.
     *
     * @throws IllegalArgumentException if there is no such number
     */
    public double number(String name) {
      Double number = numbers.get(name);
      if (number == null) {
        throw new IllegalArgumentException("checkpoint has no number \"" + name + "\"");
      }
      return number;
    }

    /**
     * The vector of this name.
     *
     * @throws IllegalArgumentException if there is no such vector
     */
    public float[] vector(String name) {
      float[] vector = vectors.get(name);
      if (vector == null) {
        throw new IllegalArgumentException("checkpoint has no vector \"" + name + "\"");
      }
      return vector;
    }
  }

  /** The state to go on from, if there is one. */
  Optional<State> restore();

  /** Called after every iteration; stores the state if it is time to. */
  void offer(Supplier<State> state) throws IOException;
}
