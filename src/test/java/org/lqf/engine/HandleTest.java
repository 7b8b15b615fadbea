package org.lqf.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.ref.Reference;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.lqf.binding.Lqf;

/** Closing: twice, in any order, meanwhile, by the garbage collector. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class HandleTest {

  private final ExecutorService threads = Executors.newCachedThreadPool();

  @AfterEach
  void stop() {
    threads.shutdownNow();
  }

  /** Counts how often it is destroyed; its call lasts as long as the test wants. */
  private static final class Slow extends Handle {
    private final CountDownLatch entered = new CountDownLatch(1);
    private final CountDownLatch finish = new CountDownLatch(1);

    Slow(AtomicInteger destroyed) {
      super(new Pointer(), unused -> destroyed.incrementAndGet());
    }

    void run() {
      call(this::waitForFinish, this);
    }

    void run(Handle second) {
      call(this::waitForFinish, this, second);
    }

    void run(Handle second, Handle third) {
      call(this::waitForFinish, this, second, third);
    }

    private int waitForFinish() {
      entered.countDown();
      try {
        finish.await();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
      return Lqf.LQF_OK;
    }
  }

  /** Starts a thread and returns when it waits for a lock. */
  private static Thread startAndBlock(Runnable body) {
    Thread thread = new Thread(body);
    thread.start();
    awaitWaiting(thread);
    return thread;
  }

  private static void awaitWaiting(Thread thread) {
    while (thread.getState() != Thread.State.WAITING) {
      assertTrue(thread.isAlive(), "it did not wait");
      Thread.onSpinWait();
    }
  }

  @Test
  void isDestroyedOnceHoweverOftenItIsClosed() {
    AtomicInteger destroyed = new AtomicInteger();
    Slow handle = new Slow(destroyed);
    assertEquals(0, destroyed.get());
    handle.close();
    handle.close();
    assertEquals(1, destroyed.get());
    String message = assertThrows(IllegalStateException.class, handle::run).getMessage();
    assertEquals("Slow is closed", message);
  }

  @Test
  void closeWaitsForTheCallsOfOtherThreads() throws Exception {
    AtomicInteger destroyed = new AtomicInteger();
    Slow handle = new Slow(destroyed);
    Future<?> call = threads.submit(() -> handle.run());
    handle.entered.await();
    Thread closing = startAndBlock(handle::close);
    assertEquals(0, destroyed.get());
    assertThrows(IllegalStateException.class, handle::run, "calls that come later");
    assertEquals(0, destroyed.get());
    handle.finish.countDown();
    call.get();
    closing.join();
    assertEquals(1, destroyed.get());
  }

  @Test
  void anInterruptedCloseWaitsAllTheSame() throws Exception {
    AtomicInteger destroyed = new AtomicInteger();
    AtomicInteger interrupted = new AtomicInteger();
    Slow handle = new Slow(destroyed);
    Future<?> call = threads.submit(() -> handle.run());
    handle.entered.await();
    Thread closing =
        startAndBlock(
            () -> {
              handle.close();
              interrupted.set(Thread.currentThread().isInterrupted() ? 1 : -1);
            });
    closing.interrupt();
    while (closing.isInterrupted()) { // until it has noticed
      Thread.onSpinWait();
    }
    awaitWaiting(closing);
    assertEquals(0, destroyed.get());
    handle.finish.countDown();
    call.get();
    closing.join();
    assertEquals(1, destroyed.get());
    assertEquals(1, interrupted.get(), "the caller still learns of it");
  }

  @Test
  void aCallThatFindsOneHandleClosedLetsGoOfTheOthers() {
    AtomicInteger destroyed = new AtomicInteger();
    Slow open = new Slow(destroyed);
    Slow closed = new Slow(destroyed);
    closed.close();
    assertThrows(IllegalStateException.class, () -> open.run(closed));
    Slow other = new Slow(destroyed);
    assertThrows(IllegalStateException.class, () -> open.run(other, closed));
    open.close(); // would wait for ever
    other.close();
    assertEquals(3, destroyed.get());
  }

  @Test
  void theFailureOfACallIsItsStatus() {
    Slow handle = new Slow(new AtomicInteger());
    assertThrows(IllegalArgumentException.class, () -> Handle.call(() -> Lqf.LQF_INVALID, handle));
    for (LqfException.Status status : LqfException.Status.values()) {
      int number = Lqf.LQF_UNAVAILABLE + status.ordinal();
      LqfException e = assertThrows(LqfException.class, () -> Handle.call(() -> number, handle));
      assertEquals(status, e.status());
    }
    handle.close(); // no call is left behind
  }

  @Test
  void handlesMayBeClosedInAnyOrder() {
    Engine engine = Engine.open("cpu", 2);
    Plan plan = engine.compile(Goldens.kinds(), 1);
    DeviceVector vector = engine.vector(new float[] {3, 4});
    SymmetricMatrix matrix = engine.matrix(2);
    engine.close();
    engine.close();
    assertThrows(IllegalStateException.class, engine::memoryBytes);
    assertEquals(25, vector.dot(vector));
    plan.close();
    vector.close();
    matrix.close();
    assertThrows(IllegalStateException.class, () -> vector.fill(1));
    assertThrows(IllegalStateException.class, vector::norm);
    assertThrows(IllegalStateException.class, matrix::eigen);
    assertThrows(IllegalStateException.class, () -> plan.forward(new float[429], 1));
    assertEquals(2, vector.length()); // what Java knows stays known
  }

  @Test
  void threadsThatUseAHandleWhileItIsClosedEndWithAnIllegalState() throws Exception {
    try (Engine engine = Engine.open("cpu", 2)) {
      for (int round = 0; round < 20; round++) {
        DeviceVector vector = engine.vector(10_000).fill(1);
        CountDownLatch busy = new CountDownLatch(2);
        List<Future<?>> users = new ArrayList<>();
        for (int user = 0; user < 2; user++) {
          users.add(threads.submit(() -> useUntilClosed(vector, busy)));
        }
        busy.await();
        vector.close();
        for (Future<?> user : users) {
          user.get(30, TimeUnit.SECONDS);
        }
      }
    }
  }

  private static void useUntilClosed(DeviceVector vector, CountDownLatch busy) {
    assertThrows(
        IllegalStateException.class,
        () -> {
          for (; ; busy.countDown()) {
            assertEquals(10_000, vector.dot(vector));
          }
        });
  }

  @Test
  void threadsMayShareAPlan() throws Exception {
    Trial trial = Trial.normal(Goldens.kinds(), 4, 40);
    try (Engine engine = Engine.open("cpu", 2);
        Plan plan = engine.compile(trial.net(), 1);
        DeviceVector delta = engine.vector(trial.delta())) {
      List<Future<?>> users = new ArrayList<>();
      for (int i = 0; i < trial.n(); i++) {
        Trial part = trial.part(i, 1);
        float[] expected = new float[plan.classes()];
        plan.predict(delta, part.images(), 1, expected);
        users.add(
            threads.submit(
                () -> {
                  float[] scores = new float[expected.length];
                  for (int round = 0; round < 50; round++) {
                    plan.predict(delta, part.images(), 1, scores);
                    assertArrayEquals(expected, scores);
                  }
                }));
      }
      for (Future<?> user : users) {
        user.get(30, TimeUnit.SECONDS);
      }
    }
  }

  @Test
  void whatBecameUnreachableIsFreed() {
    try (Engine engine = Engine.open("cpu", 1)) {
      engine.compile(Goldens.kinds(), 1).close(); // scratch, which stays
      long before = engine.memoryBytes();
      loseSome(engine, before + 4_000_000);
      Instant deadline = Instant.now().plus(Duration.ofSeconds(30));
      while (engine.memoryBytes() > before) {
        assertFalse(Instant.now().isAfter(deadline), "still there");
        System.gc();
      }
      assertEquals(before, engine.memoryBytes());
    }
  }

  /** In a frame of its own, so that nothing is left on the stack. */
  private static void loseSome(Engine engine, long least) {
    Plan plan = engine.compile(Goldens.kinds(), 1);
    assertEquals(0, plan.images());
    DeviceVector vector = engine.vector(1_000_000);
    assertEquals(10, engine.matrix(10).side());
    assertTrue(engine.memoryBytes() > least);
    Reference.reachabilityFence(plan); // or they may be gone before they are counted
    Reference.reachabilityFence(vector);
  }
}
