package org.lqf.engine;

import java.lang.ref.Cleaner;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;
import java.util.function.IntSupplier;
import java.util.function.ToIntFunction;
import org.bytedeco.javacpp.Pointer;
import org.lqf.binding.Lqf;

/**
 * An object that lives in native memory and is owned by this Java object.
 *
 * <p>Any thread may call it and any thread may {@link #close} it at any time: closing waits for the
 * calls that are running, calls that come later get an {@link IllegalStateException}. Objects keep
 * what they need of each other alive, so they may be closed in any order. One that is never closed
 * is freed some time after it became unreachable; do not rely on that, its memory is not the
 * garbage collector's to watch.
 *
 * <p>The protected members are for the classes of this library.
 */
public abstract class Handle implements AutoCloseable {

  private static final Cleaner CLEANER = Cleaner.create();

  private final Pointer pointer;
  private final Cleaner.Cleanable destruction;
  private final Object lock = new Object();
  private int calls; // running now; guarded by lock
  private boolean closed; // guarded by lock

  /**
   * @param pointer the native object, owned from here on
   * @param destroy frees it; must not refer to this object, or it would never become unreachable
   */
  protected <P extends Pointer> Handle(P pointer, Consumer<P> destroy) {
    this.pointer = pointer;
    this.destruction = CLEANER.register(this, () -> destroy.accept(pointer));
  }

  /** Frees the native memory, after the calls that other threads have running. */
  @Override
  public final void close() {
    boolean interrupted = false;
    synchronized (lock) {
      closed = true;
      while (calls > 0) {
        try {
          lock.wait();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    destruction.clean(); // does nothing the second time
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Runs a native function on objects that cannot be closed meanwhile.
   *
   * @param function returns a status of {@code lqf.h}
   * @param used what it touches
   * @throws IllegalStateException if it is closed
   * @throws IllegalArgumentException if the status is LQF_INVALID
   * @throws LqfException for the other failures
   */
  protected static void call(IntSupplier function, Handle used) {
    used.enter();
    try {
      check(function.getAsInt());
    } finally {
      used.leave();
    }
  }

  /** The same with two handles; no variable arguments, since these allocate at every call. */
  protected static void call(IntSupplier function, Handle used, Handle second) {
    used.enter();
    try {
      call(function, second);
    } finally {
      used.leave();
    }
  }

  /** The same with three. */
  protected static void call(IntSupplier function, Handle used, Handle second, Handle third) {
    used.enter();
    try {
      call(function, second, third);
    } finally {
      used.leave();
    }
  }

  /**
   * Keeps handles from being closed until {@link #end}: {@link #call} without an object for the
   * function, for what services call all day. Whether the JIT removes that object is its own
   * choice.
   *
   * @throws IllegalStateException if one is closed; then none is kept
   */
  static void begin(Handle used, Handle second) {
    used.enter();
    try {
      second.enter();
    } catch (IllegalStateException e) {
      used.leave();
      throw e;
    }
  }

  static void begin(Handle used, Handle second, Handle third) {
    begin(used, second);
    try {
      third.enter();
    } catch (IllegalStateException e) {
      end(used, second);
      throw e;
    }
  }

  static void begin(Handle used, Handle second, Handle third, Handle fourth) {
    begin(used, second, third);
    try {
      fourth.enter();
    } catch (IllegalStateException e) {
      end(used, second, third);
      throw e;
    }
  }

  static void end(Handle used, Handle second) {
    second.leave();
    used.leave();
  }

  static void end(Handle used, Handle second, Handle third) {
    third.leave();
    end(used, second);
  }

  static void end(Handle used, Handle second, Handle third, Handle fourth) {
    fourth.leave();
    end(used, second, third);
  }

  /** The native object of another class of this library. To be used inside {@link #call} only. */
  protected static <P extends Pointer> P pointer(Handle handle, Class<P> type) {
    return type.cast(handle.pointer);
  }

  /**
   * Throws what a status of {@code lqf.h} stands for, with the text of this thread's last error.
   */
  static void check(int status) {
    if (status != Lqf.LQF_OK) {
      throw LqfException.of(status, Lqf.lqf_last_error().getString(StandardCharsets.UTF_8));
    }
  }

  /** Text from a native function that cuts it to the size of the array it is given. */
  static String text(Handle handle, ToIntFunction<byte[]> describe) {
    for (byte[] text = new byte[1024]; ; text = new byte[4 * text.length]) {
      byte[] target = text;
      call(() -> describe.applyAsInt(target), handle);
      int length = 0;
      while (text[length] != 0) {
        length++;
      }
      if (length < text.length - 1) {
        return new String(text, 0, length, StandardCharsets.UTF_8);
      }
    }
  }

  final void enter() {
    synchronized (lock) {
      if (closed) {
        throw new IllegalStateException(getClass().getSimpleName() + " is closed");
      }
      calls++;
    }
  }

  final void leave() {
    synchronized (lock) {
      if (--calls == 0) {
        lock.notifyAll();
      }
    }
  }
}
