package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.lqf.image.ImageFolder;

/**
 * The images of a training.
 *
 * @param test null where there are none
 * @param notes sentences on what was passed over
 */
record TrainingData(ImageFolder train, @Nullable ImageFolder test, List<String> notes) {

  private static final int MAX_NOTES = 10;

  /**
   * Reads {@code data/train} and {@code data/test} where both are there, else the classes of {@code
   * data}.
   *
   * @param test a folder of test images, or null
   * @param holdout the part of the training images to test on, or null
   * @throws IllegalArgumentException if the options contradict the folders
   */
  static TrainingData read(Path data, @Nullable Path test, @Nullable Double holdout, long seed)
      throws IOException {
    boolean both = ImageFolder.hasTrainTest(data);
    if (both && holdout != null) {
      throw new IllegalArgumentException(
          "--holdout is for images without test images, but %s is there"
              .formatted(data.resolve("test")));
    }
    List<String> notes = new ArrayList<>();
    ImageFolder train = ImageFolder.read(both ? data.resolve("train") : data);
    addNotes(train, notes);
    if (holdout != null) {
      ImageFolder.Split split = train.holdout(holdout, seed);
      return new TrainingData(split.train(), split.test(), notes);
    }
    Path tested = test != null ? test : both ? data.resolve("test") : null;
    if (tested == null) {
      return new TrainingData(train, null, notes);
    }
    ImageFolder folder = testImages(tested, train.classes(), notes);
    if (Files.isSameFile(folder.root(), train.root())) {
      notes.add(tested + " holds the training images: accuracy on them says little");
    }
    return new TrainingData(train, folder, notes);
  }

  /**
   * Reads images to test on, from {@code root/test} where there are train and test.
   *
   * @param notes is added to
   */
  static ImageFolder testImages(Path root, List<String> classes, List<String> notes)
      throws IOException {
    Path folder = ImageFolder.hasTrainTest(root) ? root.resolve("test") : root;
    ImageFolder images = ImageFolder.readLike(folder, classes);
    addNotes(images, notes);
    return images;
  }

  static void addNotes(ImageFolder folder, List<String> notes) {
    folder.notes().stream()
        .limit(MAX_NOTES)
        .forEach(note -> notes.add(folder.root() + ": " + note));
    int more = folder.notes().size() - MAX_NOTES;
    if (more > 0) {
      notes.add("%s: and %d more that are not used".formatted(folder.root(), more));
    }
  }

  TrainingData limitPerClass(int n) {
    return new TrainingData(train.limitPerClass(n), test, notes);
  }
}
