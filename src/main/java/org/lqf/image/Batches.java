package org.lqf.image;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Batches of an {@link ImageDataset}, decoded beside the caller's computing: while one batch is in
 * use, the next {@value #AHEAD} are being read. For one thread to iterate.
 *
 * <pre>{@code
 * try (Batches batches = dataset.batches(64, 2)) {
 *   while (batches.hasNext()) {
 *     Batch batch = batches.next();
 *   }
 * }
 * }</pre>
 */
public final class Batches implements AutoCloseable {

  /** Batches that are held besides the one in use. */
  private static final int AHEAD = 2;

  /** A batch whose images are still being read: one future per image. */
  private record Pending(Batch batch, List<Future<?>> images) {}

  private final ImageDataset dataset;
  private final int[] order;
  private final int batchSize;
  private final ExecutorService readers;
  private final List<Thread> threads = new ArrayList<>();
  private final ArrayDeque<Pending> pending = new ArrayDeque<>();
  private int requested; // images of order
  private int delivered;

  Batches(ImageDataset dataset, int[] order, int batchSize, int threads) {
    if (batchSize < 1 || threads < 1) {
      throw new IllegalArgumentException(
          "batch size and threads must be at least 1, got %d and %d".formatted(batchSize, threads));
    }
    this.dataset = dataset;
    this.order = order;
    this.batchSize = batchSize;
    this.readers = Executors.newFixedThreadPool(threads, this::newThread);
    readAhead();
  }

  public boolean hasNext() {
    return delivered < order.length && !readers.isShutdown();
  }

  /**
   * The next batch, which then belongs to the caller.
   *
   * @throws IOException if one of its images cannot be read; the message names the file, the first
   *     one in order. These batches are then closed
   * @throws InterruptedIOException if the thread was interrupted, which it stays; closed as well
   * @throws NoSuchElementException if there is none, or after {@link #close}
   */
  public Batch next() throws IOException {
    if (!hasNext()) {
      throw new NoSuchElementException(
          delivered == order.length ? "all batches were taken" : "these batches were closed");
    }
    Pending head = pending.remove();
    readAhead(); // before waiting, so that no thread idles
    boolean complete = false;
    try {
      if (Thread.currentThread().isInterrupted()) {
        throw new InterruptedException(); // even if the images are there
      }
      for (Future<?> image : head.images) {
        image.get();
      }
      complete = true;
    } catch (ExecutionException e) {
      if (e.getCause() instanceof IOException cause) {
        throw new IOException(cause.getMessage(), cause);
      }
      throw new IllegalStateException("reading an image failed: " + e.getCause(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while waiting for images");
    } finally {
      if (!complete) {
        close();
      }
    }
    delivered += head.batch.n();
    if (delivered == order.length) {
      close();
    }
    return head.batch;
  }

  /** Gives up what was read ahead, and waits for the threads to end unless interrupted. */
  @Override
  public void close() {
    readers.shutdownNow();
    pending.clear();
    try {
      for (Thread thread : threads) {
        thread.join(); // at most one image away from its end
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private Thread newThread(Runnable work) {
    Thread thread = new Thread(work, "lqf-image-reader");
    thread.setDaemon(true);
    threads.add(thread);
    return thread;
  }

  private void readAhead() {
    while (pending.size() < AHEAD && requested < order.length) {
      int n = Math.min(batchSize, order.length - requested);
      int[] indices = Arrays.copyOfRange(order, requested, requested + n);
      int[] labels = Arrays.stream(indices).map(dataset::label).toArray();
      float[] images = new float[Math.multiplyExact(n, dataset.floats())];
      List<Future<?>> reads = new ArrayList<>(n);
      for (int i = 0; i < n; i++) {
        int at = i;
        reads.add(
            readers.submit(
                () -> {
                  dataset.read(indices[at], images, at * dataset.floats());
                  return null;
                }));
      }
      pending.add(new Pending(new Batch(images, labels, indices), reads));
      requested += n;
    }
  }
}
