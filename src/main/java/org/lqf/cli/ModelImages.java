package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.lqf.image.ImageFile;
import org.lqf.image.ImageFolder;
import org.lqf.model.LinearisedModel;
import org.lqf.model.Provenance;
import org.lqf.tune.TrainingImages;

/** Finds the very images that a model was trained on, whatever else lies beside them. */
final class ModelImages {

  /** Kind of the event in the history of a model that weights its images. */
  static final String REWEIGHTED = "reweight";

  private ModelImages() {}

  /**
   * All images of a model.
   *
   * @param roots folders with a folder per class, or with train and test inside; at least one
   * @param notes is added to
   * @return the images in the order of the model
   * @throws IOException if one is missing, is another file, or lies in two places; names it; or if
   *     the model weights them
   */
  static ImageFolder find(LinearisedModel model, List<Path> roots, List<String> notes)
      throws IOException {
    checkWeights(model);
    List<Provenance.Image> named = model.provenance().images();
    return named.isEmpty()
        ? byDigest(model, roots, notes)
        : find(named, model.labels(), roots, notes);
  }

  /** The closed forms, and a training from scratch, are of images that all count the same. */
  static void checkWeights(LinearisedModel model) throws IOException {
    if (model.provenance().history().stream().anyMatch(e -> e.kind().equals(REWEIGHTED))) {
      throw new IOException(
          "this model counts some training images more than others (lqf audit --reweighted wrote it); what can be asked or changed about training images holds where all count the same: take the model that was audited. It can still be used by predict and evaluate");
    }
  }

  /**
   * The images that a model was trained on, by name. A model that does not name them must be given
   * exactly these, which its digest tells.
   */
  static List<Provenance.Image> named(LinearisedModel model, List<Path> roots, List<String> notes)
      throws IOException {
    checkWeights(model);
    List<Provenance.Image> named = model.provenance().images();
    return named.isEmpty()
        ? TrainingImages.provenance(byDigest(model, roots, notes)).images()
        : named;
  }

  /**
   * Some images by their names; the bytes of each file are checked.
   *
   * @param wanted at least one
   * @param labels of the classes; the position is the label
   */
  static ImageFolder find(
      List<Provenance.Image> wanted, List<String> labels, List<Path> roots, List<String> notes)
      throws IOException {
    Map<String, ImageFile> there = new HashMap<>();
    ImageFolder first = null;
    for (Path root : roots) {
      ImageFolder folder = ImageFolder.read(trainingRoot(root));
      first = first == null ? folder : first;
      for (ImageFile image : folder.images()) {
        ImageFile other = there.put(image.relativeName(), image);
        if (other != null) {
          throw new IOException(
              "image %s is in two places, %s and %s; give one of them"
                  .formatted(image.relativeName(), other.path(), image.path()));
        }
      }
    }
    if (first == null) {
      throw new IllegalArgumentException("no folder of images");
    }
    List<ImageFile> chosen = new ArrayList<>();
    for (Provenance.Image image : wanted) {
      ImageFile file = there.remove(image.name());
      if (file == null) {
        throw new IOException(
            "%s is not in %s, but the model was trained on it; give the same images, several times --data where they are in several places"
                .formatted(image.name(), roots));
      }
      chosen.add(new ImageFile(file.path(), image.name(), label(labels, image.name())));
    }
    ImageFolder images = first.with(labels, chosen);
    checkBytes(wanted, images);
    if (!there.isEmpty()) {
      String some = there.keySet().stream().sorted().findFirst().orElseThrow();
      notes.add(
          "%d images are there that are not the model's, such as %s; not used"
              .formatted(there.size(), some));
    }
    return images;
  }

  /** {@code root/train} where there are train and test, else root. */
  static Path trainingRoot(Path root) {
    return ImageFolder.hasTrainTest(root) ? root.resolve("train") : root;
  }

  /** The class of an image: its folder. */
  static String folder(String name) {
    return name.substring(0, Math.max(0, name.indexOf('/')));
  }

  private static int label(List<String> labels, String name) throws IOException {
    int label = labels.indexOf(folder(name));
    if (label < 0) {
      throw new IOException(
          "the model names an image %s, but its classes are %s".formatted(name, labels));
    }
    return label;
  }

  private static void checkBytes(List<Provenance.Image> wanted, ImageFolder images)
      throws IOException {
    List<String> digests = images.fileDigests();
    for (int i = 0; i < digests.size(); i++) {
      String expected = wanted.get(i).sha256();
      if (!digests.get(i).equals(expected)) {
        throw new IOException(
            "%s is not the file that the model was trained on: its SHA-256 is %s, the model says %s"
                .formatted(images.images().get(i).path(), digests.get(i), expected));
      }
    }
  }

  private static ImageFolder byDigest(LinearisedModel model, List<Path> roots, List<String> notes)
      throws IOException {
    if (roots.size() != 1) {
      throw new IOException(
          "the model does not name its images, so that they must be in one folder, got " + roots);
    }
    Path folder = trainingRoot(roots.get(0));
    ImageFolder images = ImageFolder.readLike(folder, model.labels());
    TrainingData.addNotes(images, notes);
    if (images.size() != model.fit().samples()) {
      throw new IOException(
          "%s has %d images, but the model was trained on %d; give the same ones"
              .formatted(folder, images.size(), model.fit().samples()));
    }
    String digest = images.digest();
    if (!digest.equals(model.origin().dataDigest())) {
      throw new IOException(
          "%s has as many images as the model was trained on, but other ones (digest %s, the model says %s); give the same ones"
              .formatted(folder, digest, model.origin().dataDigest()));
    }
    return images;
  }
}
