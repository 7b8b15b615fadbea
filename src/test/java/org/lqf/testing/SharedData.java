package org.lqf.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Networks and images that are not ours to commit, in a folder "shared": where system property or
 * environment variable {@code LQF_SHARED} says, else beside the project. A test that needs them is
 * skipped with the reason where they are missing.
 */
public final class SharedData {

  private SharedData() {}

  /** The folder, if it is there. */
  public static Optional<Path> root() {
    @Nullable String said = System.getProperty("LQF_SHARED", System.getenv("LQF_SHARED"));
    Path project = Path.of(System.getProperty("basedir", "")).toAbsolutePath();
    Path root = said != null ? Path.of(said) : project.resolveSibling("shared");
    return Optional.of(root).filter(Files::isDirectory);
  }

  /** A file or folder in it, if it is there; for example {@code backbones/resnet20.json}. */
  public static Optional<Path> find(String relative) {
    return root().map(root -> root.resolve(relative)).filter(Files::exists);
  }

  /** Like {@link #find}, but skips the running test if it is missing. */
  public static Path require(String relative) {
    Optional<Path> path = find(relative);
    assumeTrue(
        path.isPresent(),
        () -> "shared data \"%s\" is not here; set LQF_SHARED to its folder".formatted(relative));
    return path.orElseThrow();
  }
}
