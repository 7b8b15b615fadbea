package org.lqf.engine;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import org.lqf.model.Backbone;
import org.lqf.model.Safetensors;

/** The files that PyTorch wrote in double precision; {@code test-data/goldens/README.md}. */
public final class Goldens {

  private static final Path FOLDER =
      Path.of(System.getProperty("basedir", ""), "test-data", "goldens");

  private Goldens() {}

  /** A small residual network with every kind of layer. */
  public static Backbone kinds() {
    try {
      return Backbone.read(FOLDER.resolve("kinds.json"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static Safetensors read(String name) {
    try {
      return Safetensors.read(FOLDER.resolve(name + ".safetensors"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
