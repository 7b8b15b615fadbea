package org.lqf.testing;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.imageio.ImageIO;

/**
 * The tiny pair of {@code test-data/tiny}: a ResNet-8 and Fashion-MNIST images of five classes that
 * it has not seen, as folders of PNG files.
 */
public final class TinyData {

  /** By label; folders get these names, so a folder's classes are in another order. */
  public static final List<String> CLASSES =
      List.of("sandal", "shirt", "sneaker", "bag", "ankle-boot");

  private static final Path FOLDER =
      Path.of(System.getProperty("basedir", "")).resolve("test-data/tiny").toAbsolutePath();

  private TinyData() {}

  /** The graph JSON of the network; its weights lie beside it. Input 1×28×28. */
  public static Path network() {
    return FOLDER.resolve("resnet8-fashion5-leaky0.1.json");
  }

  /**
   * Writes {@code root/train/CLASS/NNN.png} and {@code root/test/CLASS/NNN.png}.
   *
   * @param train images of each class, at most 40
   * @param test images of each class, at most 60
   * @return root
   */
  public static Path write(Path root, int train, int test) throws IOException {
    write(root.resolve("train"), "fashion5to9-train", train);
    write(root.resolve("test"), "fashion5to9-test", test);
    return root;
  }

  /** Copies graph and weights into a folder; gives the graph. */
  public static Path copyNetwork(Path folder) throws IOException {
    Files.createDirectories(folder);
    for (String suffix : List.of(".json", ".safetensors")) {
      String name = "resnet8-fashion5-leaky0.1" + suffix;
      Files.copy(FOLDER.resolve(name), folder.resolve(name));
    }
    return folder.resolve("resnet8-fashion5-leaky0.1.json");
  }

  private static void write(Path folder, String name, int perClass) throws IOException {
    ByteBuffer images = idx(name + "-images.idx3-ubyte", 3);
    ByteBuffer labels = idx(name + "-labels.idx1-ubyte", 1);
    int count = images.getInt();
    int height = images.getInt();
    int width = images.getInt();
    if (labels.getInt() != count) {
      throw new IOException(name + ": images and labels differ in number");
    }
    int[] written = new int[CLASSES.size()];
    byte[] pixels = new byte[height * width];
    for (int i = 0; i < count; i++) {
      images.get(pixels);
      int label = labels.get();
      if (written[label] < perClass) {
        BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
        image.getRaster().setDataElements(0, 0, width, height, pixels);
        Path target = folder.resolve(CLASSES.get(label));
        Files.createDirectories(target);
        String file = "%03d.png".formatted(written[label]++);
        ImageIO.write(image, "png", target.resolve(file).toFile());
      }
    }
    for (int n : written) {
      if (n != perClass) {
        throw new IOException("%s: %d images of a class, wanted %d".formatted(name, n, perClass));
      }
    }
  }

  /** Reads the header's magic number; the sizes come next. */
  private static ByteBuffer idx(String name, int rank) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(FOLDER.resolve(name)));
    if (bytes.getInt() != 0x0800 + rank) {
      throw new IOException(name + " is no IDX file of bytes of rank " + rank);
    }
    return bytes;
  }
}
