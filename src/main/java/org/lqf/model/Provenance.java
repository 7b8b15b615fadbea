package org.lqf.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which images a model was made from, and what was changed since it was trained. It is part of the
 * model's file.
 *
 * <p>What is kept of a forgotten image is the digest of its file and nothing else: who has the file
 * can check that it was forgotten, who has not learns nothing, not even its name.
 *
 * @param images in the order of the training; empty where it is not known
 * @param history oldest first
 */
public record Provenance(List<Image> images, List<Event> history) {

  public static final Provenance UNKNOWN = new Provenance(List.of(), List.of());

  /**
   * One training image.
   *
   * @param name folder of its class, {@code '/'}, file name; unique
   * @param sha256 of the file's bytes, 64 hexadecimal digits
   */
  public record Image(String name, String sha256) {}

  /**
   * A change of the images, and what was proven of its result.
   *
   * @param kind "forget", "learn", "merge" or "reweight" (images count differently from then on)
   * @param removed SHA-256 of the files that were taken out
   * @param added SHA-256 of the files that were put in
   * @param removedClasses labels that went with their images
   * @param addedClasses labels that came with their images
   * @param dataDigestBefore identity of the images before, see {@link LinearisedModel.Origin}
   * @param dataDigestAfter of the images after
   * @param route how it was solved: "gram" or "cg"
   * @param gradientNorm ‖∇L‖ at the new Δ
   * @param certifiedRelativeDistance the new Δ is at most this part of its own length away from
   *     that of a training from scratch
   */
  public record Event(
      String kind,
      List<String> removed,
      List<String> added,
      List<String> removedClasses,
      List<String> addedClasses,
      String dataDigestBefore,
      String dataDigestAfter,
      String route,
      double gradientNorm,
      double certifiedRelativeDistance) {

    public Event {
      removed = List.copyOf(removed);
      added = List.copyOf(added);
      removedClasses = List.copyOf(removedClasses);
      addedClasses = List.copyOf(addedClasses);
    }
  }

  public Provenance {
    images = List.copyOf(images);
    history = List.copyOf(history);
    Set<String> names = new HashSet<>();
    for (Image image : images) {
      if (!names.add(image.name)) {
        throw new IllegalArgumentException("image %s is there twice".formatted(image.name));
      }
    }
  }

  /** The images of another set, and one event more. */
  public Provenance after(Event event, List<Image> others) {
    List<Event> events = new ArrayList<>(history);
    events.add(event);
    return new Provenance(others, events);
  }

  /** Into the metadata of a file; what is empty is left out. */
  public void write(Map<String, String> texts) throws IOException {
    if (!images.isEmpty()) {
      ObjectNode names = JsonNodeFactory.instance.objectNode();
      images.forEach(image -> names.put(image.name, image.sha256));
      texts.put("images", Json.MAPPER.writeValueAsString(names));
    }
    if (!history.isEmpty()) {
      ArrayNode events = JsonNodeFactory.instance.arrayNode();
      history.forEach(event -> events.add(json(event)));
      texts.put("history", Json.MAPPER.writeValueAsString(events));
    }
  }

  /** From the metadata of a file. */
  public static Provenance read(Map<String, String> texts) throws IOException {
    List<Image> images = new ArrayList<>();
    String names = texts.getOrDefault("images", "{}");
    for (Map.Entry<String, JsonNode> image : Json.MAPPER.readTree(names).properties()) {
      images.add(new Image(image.getKey(), image.getValue().asText()));
    }
    List<Event> history = new ArrayList<>();
    for (JsonNode event : Json.MAPPER.readTree(texts.getOrDefault("history", "[]"))) {
      history.add(event(event));
    }
    return new Provenance(images, history);
  }

  private static ObjectNode json(Event event) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("kind", event.kind);
    event.removed.forEach(json.putArray("removed")::add);
    event.added.forEach(json.putArray("added")::add);
    event.removedClasses.forEach(json.putArray("removedClasses")::add);
    event.addedClasses.forEach(json.putArray("addedClasses")::add);
    json.put("dataDigestBefore", event.dataDigestBefore);
    json.put("dataDigestAfter", event.dataDigestAfter);
    json.put("route", event.route);
    json.put("gradientNorm", event.gradientNorm);
    return json.put("certifiedRelativeDistance", event.certifiedRelativeDistance);
  }

  private static Event event(JsonNode json) {
    return new Event(
        Json.text(json, "kind"),
        texts(json, "removed"),
        texts(json, "added"),
        texts(json, "removedClasses"),
        texts(json, "addedClasses"),
        Json.text(json, "dataDigestBefore"),
        Json.text(json, "dataDigestAfter"),
        Json.text(json, "route"),
        json.path("gradientNorm").asDouble(),
        json.path("certifiedRelativeDistance").asDouble());
  }

  private static List<String> texts(JsonNode json, String key) {
    List<String> texts = new ArrayList<>();
    Json.array(json, key).forEach(text -> texts.add(text.asText()));
    return texts;
  }
}
