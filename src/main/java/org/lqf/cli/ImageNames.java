package org.lqf.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lqf.model.Provenance;

/**
 * Which of a model's images somebody means: {@code CLASS/file.jpg} as in the training folder, or
 * the path of a file with the same bytes.
 */
final class ImageNames {

  private ImageNames() {}

  /** The lines of a list; blank ones and those that begin with # do not count. */
  static List<String> lines(Path list) throws IOException {
    return Files.readAllLines(list, StandardCharsets.UTF_8).stream()
        .map(String::strip)
        .filter(line -> !line.isEmpty() && !line.startsWith("#"))
        .toList();
  }

  /**
   * Finds what is named.
   *
   * @param named any number
   * @param images of the model
   * @throws IllegalArgumentException if a name is unknown, ambiguous, or there twice; says so
   */
  static List<Provenance.Image> find(List<String> named, List<Provenance.Image> images)
      throws IOException {
    Map<Provenance.Image, String> found = new LinkedHashMap<>();
    for (String name : named) {
      Provenance.Image image = find(name, images);
      String before = found.put(image, name);
      if (before != null) {
        throw new IllegalArgumentException(
            before.equals(name)
                ? "%s is named twice; name it once".formatted(name)
                : "%s and %s are the same image, %s; name it once"
                    .formatted(before, name, image.name()));
      }
    }
    return new ArrayList<>(found.keySet());
  }

  private static Provenance.Image find(String name, List<Provenance.Image> images)
      throws IOException {
    for (Provenance.Image image : images) {
      if (image.name().equals(name)) {
        return image;
      }
    }
    Path file = path(name);
    if (!Files.isRegularFile(file)) {
      throw new IllegalArgumentException(
          "%s: the model was trained on no image of this name and there is no such file; name it as CLASS/file in the training folder or by its path"
              .formatted(name));
    }
    String digest = Digests.sha256(file);
    List<Provenance.Image> same = images.stream().filter(i -> i.sha256().equals(digest)).toList();
    if (same.isEmpty()) {
      throw new IllegalArgumentException("%s: the model was not trained on it".formatted(name));
    }
    if (same.size() == 1) {
      return same.get(0);
    }
    Path place = file.toAbsolutePath().normalize();
    for (Provenance.Image image : same) {
      if (place.endsWith(image.name())) {
        return image;
      }
    }
    throw new IllegalArgumentException(
        "%s: the model was trained on this picture under several names, %s; name those that are meant"
            .formatted(
                name, String.join(", ", same.stream().map(Provenance.Image::name).toList())));
  }

  private static Path path(String name) {
    try {
      return Path.of(name);
    } catch (InvalidPathException e) {
      throw new IllegalArgumentException(
          "%s is neither the name of an image nor a path".formatted(name), e);
    }
  }
}
