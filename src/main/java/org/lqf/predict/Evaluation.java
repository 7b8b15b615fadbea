package org.lqf.predict;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.lqf.image.ImageDecoder;
import org.lqf.image.ImageFile;
import org.lqf.image.ImageFolder;

/** Classifies labelled images and counts. A second thread decodes while the engine computes. */
public final class Evaluation {

  /** Hears of every batch; may end the evaluation by an exception of its own. */
  @FunctionalInterface
  public interface Progress {

    Progress NONE = (done, total) -> {};

    void report(int done, int total);
  }

  private Evaluation() {}

  /**
   * Counts the classes that the classifier gives to the images of a folder.
   *
   * @param images with the classes of {@link Classifier#labels()}, see {@link ImageFolder#readLike}
   * @throws IOException if an image cannot be decoded; the message names it
   */
  public static ConfusionMatrix of(Classifier classifier, ImageFolder images, Progress progress)
      throws IOException {
    if (!images.classes().equals(classifier.labels())) {
      throw new IllegalArgumentException(
          "%s has classes %s, the model has %s"
              .formatted(images.root(), images.classes(), classifier.labels()));
    }
    int[] given = predict(classifier, images, progress);
    int[][] counts = new int[images.classes().size()][images.classes().size()];
    for (int i = 0; i < given.length; i++) {
      counts[images.images().get(i).label()][given[i]]++;
    }
    return new ConfusionMatrix(classifier.labels(), counts);
  }

  /**
   * The index of the class that each image is given, [images.size()].
   *
   * @param images with any labels, which are not looked at
   * @throws IOException if an image cannot be decoded; the message names it
   */
  public static int[] predict(Classifier classifier, ImageFolder images, Progress progress)
      throws IOException {
    int classes = classifier.labels().size();
    int batch = classifier.maxBatch();
    float[] scores = new float[batch * classes];
    float[] ready = new float[batch * classifier.imageLength()];
    float[] spare = ready.clone();
    List<ImageFile> files = images.images();
    int[] given = new int[files.size()];
    ExecutorService decoder =
        Executors.newSingleThreadExecutor(
            task -> {
              Thread thread = new Thread(task, "lqf-decoder");
              thread.setDaemon(true);
              return thread;
            });
    try {
      Future<Integer> next = decoder.submit(decoding(classifier, files, 0, ready));
      for (int from = 0; from < files.size(); from += batch) {
        progress.report(from, files.size());
        int n = await(next);
        next = decoder.submit(decoding(classifier, files, from + batch, spare));
        classifier.scores(ready, n, scores);
        for (int i = 0; i < n; i++) {
          given[from + i] = largest(scores, i * classes, classes);
        }
        float[] used = ready;
        ready = spare;
        spare = used;
      }
      progress.report(files.size(), files.size());
    } finally {
      decoder.shutdownNow();
    }
    return given;
  }

  /** Prepares the images from {@code from} on into {@code out}; gives their number. */
  private static Callable<Integer> decoding(
      Classifier classifier, List<ImageFile> files, int from, float[] out) {
    return () -> {
      int n = Math.max(0, Math.min(classifier.maxBatch(), files.size() - from));
      for (int i = 0; i < n; i++) {
        classifier.prepare(
            ImageDecoder.decode(files.get(from + i).path()), out, i * classifier.imageLength());
      }
      return n;
    };
  }

  private static int await(Future<Integer> decoded) throws IOException {
    try {
      return decoded.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while images were decoded");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof IOException unreadable) {
        throw unreadable;
      }
      if (e.getCause() instanceof RuntimeException failure) {
        throw failure;
      }
      throw new IllegalStateException(e.getCause());
    }
  }

  /** Index of the largest score; the first of equal ones, as {@link Prediction} ranks. */
  private static int largest(float[] scores, int offset, int classes) {
    int best = 0;
    for (int c = 1; c < classes; c++) {
      if (scores[offset + c] > scores[offset + best]) {
        best = c;
      }
    }
    return best;
  }
}
