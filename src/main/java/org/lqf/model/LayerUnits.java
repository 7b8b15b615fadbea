package org.lqf.model;

import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * Which layers of a network are displaced, and in what unit: w = w0 + unit · Δ for the weights and
 * the bias of a layer. The ridge λ/2 ‖Δ‖² is counted in units, so a layer with a large one moves
 * cheaply and one with a small one hardly; nothing else knows of them.
 *
 * <p>Units are powers of two: to scale by them rounds nothing, so that every result is that of the
 * network without units at the scaled displacement, bit for bit.
 *
 * @param byLayer unit of each displaced conv2d or linear node, by its name, in node order; the
 *     others stay at w0
 */
public record LayerUnits(Map<String, Float> byLayer) {

  /** No layer: the network as it is. */
  public static final LayerUnits NONE = new LayerUnits(Map.of());

  public LayerUnits {
    byLayer = Collections.unmodifiableMap(new LinkedHashMap<>(byLayer));
    byLayer.forEach(
        (layer, unit) -> {
          if (!(unit >= Float.MIN_NORMAL
              && unit <= Float.MAX_VALUE
              && unit == Math.scalb(1f, Math.getExponent(unit)))) {
            throw new IllegalArgumentException(
                "the unit of layer \"%s\" must be a power of two, got %s".formatted(layer, unit));
          }
        });
  }

  /** These layers, each in units of 1. */
  public static LayerUnits ones(Collection<String> layers) {
    Map<String, Float> units = new LinkedHashMap<>();
    layers.forEach(layer -> units.put(layer, 1f));
    return new LayerUnits(units);
  }

  /** Names of the displaced layers, in node order. */
  public Set<String> layers() {
    return byLayer.keySet();
  }

  /** The layers with their units, those other than 1: {@code conv1=0.25, head}. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    byLayer.forEach(
        (layer, unit) ->
            text.append(text.isEmpty() ? "" : ", ")
                .append(layer)
                .append(unit == 1 ? "" : "=" + unit));
    return text.toString();
  }
}
