package org.lqf.image;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Labelled images on disk: {@code root/CLASS/image.jpg}. Classes and images are in the byte order
 * of their file names, so that labels do not depend on the file system.
 *
 * <p>A file counts as an image by its first bytes, not by its name. Whatever is passed over (a
 * stray file, a WebP, an empty folder) is told in {@link #notes()}. Immutable; no image is decoded
 * here.
 */
public final class ImageFolder {

  private final Path root;
  private final List<String> classes;
  private final List<ImageFile> images;
  private final List<String> notes;

  private ImageFolder(Path root, List<String> classes, List<ImageFile> images, List<String> notes) {
    this.root = root;
    this.classes = List.copyOf(classes);
    this.images = List.copyOf(images);
    this.notes = List.copyOf(notes);
  }

  /**
   * Reads the folders of {@code root}; each that has images inside is a class.
   *
   * @throws IOException if nothing there is an image in a class folder; the message says what is
   */
  public static ImageFolder read(Path root) throws IOException {
    List<String> classes = new ArrayList<>();
    List<ImageFile> images = new ArrayList<>();
    List<String> notes = new ArrayList<>();
    List<String> folders = new ArrayList<>();
    for (Path folder : classFolders(root, notes)) {
      String name = name(folder);
      folders.add(name);
      if (readClass(folder, classes.size(), images, notes)) {
        classes.add(name);
      } else {
        notes.add(name + "/: no images inside, so it is no class");
      }
    }
    if (images.isEmpty()) {
      throw new IOException(noImages(root, folders, notes));
    }
    return new ImageFolder(root, classes, images, notes);
  }

  /**
   * Reads a folder whose labels must mean the same as those of another, such as the test images of
   * a training folder. Classes may be missing here.
   *
   * @param classes of the other folder, in its order
   * @throws IOException if there is no image, or a folder with images that is none of the classes
   */
  public static ImageFolder readLike(Path root, List<String> classes) throws IOException {
    List<ImageFile> images = new ArrayList<>();
    List<String> notes = new ArrayList<>();
    List<String> folders = new ArrayList<>();
    List<String> unknown = new ArrayList<>();
    boolean[] seen = new boolean[classes.size()];
    for (Path folder : classFolders(root, notes)) {
      String name = name(folder);
      folders.add(name);
      int label = classes.indexOf(name);
      if (label >= 0) {
        seen[label] = readClass(folder, label, images, notes);
      } else if (readClass(folder, 0, new ArrayList<>(), new ArrayList<>())) {
        unknown.add(name);
      } else {
        notes.add(name + "/: no images inside, and no class of the training images");
      }
    }
    if (!unknown.isEmpty()) {
      throw new IOException(
          "%s: unknown class %s; the training images have %s. Rename or move these folders"
              .formatted(root, list(unknown), list(classes)));
    }
    if (images.isEmpty()) {
      throw new IOException(noImages(root, folders, notes));
    }
    for (int label = 0; label < seen.length; label++) {
      if (!seen[label]) {
        notes.add(classes.get(label) + "/: no images of this class here");
      }
    }
    // Folders are visited in name order, which need not be the order of the given classes.
    images.sort((a, b) -> Integer.compare(a.label(), b.label()));
    return new ImageFolder(root, classes, images, notes);
  }

  /** Whether {@code root} holds folders {@code train} and {@code test}, to be read one by one. */
  public static boolean hasTrainTest(Path root) {
    return Files.isDirectory(root.resolve("train")) && Files.isDirectory(root.resolve("test"));
  }

  public Path root() {
    return root;
  }

  /** Class names; the position is the label. */
  public List<String> classes() {
    return classes;
  }

  /** All images, class by class. */
  public List<ImageFile> images() {
    return images;
  }

  /** One sentence for everything that lay there and was not used. */
  public List<String> notes() {
    return notes;
  }

  public int size() {
    return images.size();
  }

  /** Label of each image, a fresh array [size()]. */
  public int[] labels() {
    return images.stream().mapToInt(ImageFile::label).toArray();
  }

  /** The first {@code n} images of each class. */
  public ImageFolder limitPerClass(int n) {
    if (n < 1) {
      throw new IllegalArgumentException("limit per class must be at least 1, got " + n);
    }
    int[] taken = new int[classes.size()];
    return with(classes, images.stream().filter(image -> taken[image.label()]++ < n).toList());
  }

  /**
   * Some of the images, or those of other folders beside them.
   *
   * @param classes names; the position is the label
   * @param chosen with labels of these classes, in the order wanted
   */
  public ImageFolder with(List<String> classes, List<ImageFile> chosen) {
    return new ImageFolder(root, classes, chosen, notes);
  }

  /** Two folders with the classes of the one they were drawn from. */
  public record Split(ImageFolder train, ImageFolder test) {}

  /**
   * Sets a part of every class aside for testing: round(fraction · n) of its n images, but at least
   * one and never all, so that a class of one image stays in training. Same seed, same split.
   *
   * @param fraction of each class that goes to the test side, in (0, 1)
   */
  public Split holdout(double fraction, long seed) {
    if (!(fraction > 0 && fraction < 1)) {
      throw new IllegalArgumentException("holdout must lie between 0 and 1, got " + fraction);
    }
    SplittableRandom random = new SplittableRandom(seed);
    boolean[] held = new boolean[images.size()];
    for (int label = 0; label < classes.size(); label++) {
      int wanted = label;
      int[] members =
          IntStream.range(0, held.length).filter(i -> images.get(i).label() == wanted).toArray();
      long count = Math.round(fraction * members.length);
      count = Math.min(Math.max(count, 1), members.length - 1);
      for (int i = 0; i < count; i++) { // the first steps of a Fisher-Yates shuffle
        int j = random.nextInt(i, members.length);
        int drawn = members[j];
        members[j] = members[i];
        held[drawn] = true;
      }
    }
    List<ImageFile> train = new ArrayList<>();
    List<ImageFile> test = new ArrayList<>();
    for (int i = 0; i < held.length; i++) {
      (held[i] ? test : train).add(images.get(i));
    }
    if (test.isEmpty()) {
      throw new IllegalArgumentException(
          root + ": every class has a single image, so that none can be set aside for testing");
    }
    return new Split(with(classes, train), with(classes, test));
  }

  /**
   * What the images are, as 64 hexadecimal digits: SHA-256 over, for each image in order, its
   * relative name in UTF-8, a zero byte, the label (4 bytes, big-endian), the file's length (8
   * bytes, big-endian) and the file's bytes. Reads every file.
   */
  public String digest() throws IOException {
    MessageDigest sha = sha256();
    for (ImageFile image : images) {
      byte[] bytes = Files.readAllBytes(image.path());
      sha.update(image.relativeName().getBytes(StandardCharsets.UTF_8));
      sha.update(
          ByteBuffer.allocate(1 + Integer.BYTES + Long.BYTES)
              .put((byte) 0)
              .putInt(image.label())
              .putLong(bytes.length)
              .array());
      sha.update(bytes);
    }
    return HexFormat.of().formatHex(sha.digest());
  }

  /** SHA-256 of the bytes of each image's file, 64 hexadecimal digits. Reads every file. */
  public List<String> fileDigests() throws IOException {
    List<String> digests = new ArrayList<>();
    for (ImageFile image : images) {
      digests.add(HexFormat.of().formatHex(sha256().digest(Files.readAllBytes(image.path()))));
    }
    return digests;
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  @Override
  public String toString() {
    return "%s: %d images in %d classes".formatted(root, images.size(), classes.size());
  }

  /** Folders right below {@code root}, sorted; what else lies there goes into {@code notes}. */
  private static List<Path> classFolders(Path root, List<String> notes) throws IOException {
    if (!Files.isDirectory(root)) {
      throw new IOException(
          root
              + ": expected a folder with a folder per class inside, found "
              + (Files.exists(root) ? "a file" : "nothing"));
    }
    List<Path> folders = new ArrayList<>();
    for (Path entry : sortedEntries(root)) {
      if (isHidden(entry)) {
        notes.add(name(entry) + ": hidden, not used");
      } else if (Files.isDirectory(entry)) {
        folders.add(entry);
      } else {
        notes.add(name(entry) + ": a file beside the class folders, not used");
      }
    }
    return folders;
  }

  /** Adds the images of one class; returns whether there was any. */
  private static boolean readClass(
      Path folder, int label, List<ImageFile> images, List<String> notes) throws IOException {
    int before = images.size();
    for (Path entry : sortedEntries(folder)) {
      String relative = name(folder) + "/" + name(entry);
      if (isHidden(entry)) {
        notes.add(relative + ": hidden, not used");
      } else if (Files.isDirectory(entry)) {
        notes.add(relative + "/: a folder inside a class folder, not used");
      } else {
        byte[] head;
        try (InputStream in = Files.newInputStream(entry)) {
          head = in.readNBytes(ImageFormat.MAGIC_BYTES);
        }
        Optional<ImageFormat> format = ImageFormat.of(head);
        if (format.isPresent() && format.get().readable) {
          images.add(new ImageFile(entry, relative, label));
        } else if (format.isPresent()) {
          notes.add(relative + ": " + format.get().refusal());
        } else {
          notes.add(
              relative + (head.length == 0 ? ": empty file" : ": not an image") + ", not used");
        }
      }
    }
    return images.size() > before;
  }

  private static String noImages(Path root, List<String> folders, List<String> notes) {
    StringBuilder message = new StringBuilder();
    message.append(root).append(": expected a folder per class with images inside (");
    message.append(root.resolve("CLASS").resolve("image.jpg")).append("), found ");
    message.append(folders.isEmpty() ? "no folder" : "no image in " + list(folders));
    if (hasTrainTest(root)) {
      message.append("; give ").append(root.resolve("train")).append(" instead");
    }
    if (!notes.isEmpty()) {
      message.append(". Passed over: ").append(list(notes));
    }
    return message.toString();
  }

  /** At most ten, so that a message stays a message. */
  private static String list(List<String> names) {
    int more = names.size() - 10;
    return names.stream().limit(10).collect(Collectors.joining(", "))
        + (more > 0 ? " and " + more + " more" : "");
  }

  private static List<Path> sortedEntries(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      // A byte order that is the same on every machine, which the order of Path need not be.
      return entries.sorted((a, b) -> Arrays.compareUnsigned(utf8(a), utf8(b))).toList();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private static byte[] utf8(Path path) {
    return name(path).getBytes(StandardCharsets.UTF_8);
  }

  private static boolean isHidden(Path path) {
    return name(path).startsWith(".");
  }

  private static String name(Path path) {
    Path last = path.getFileName();
    return last == null ? path.toString() : last.toString();
  }
}
