package org.lqf.engine;

import org.lqf.binding.Lqf;

/**
 * The device or the arithmetic failed, through no fault of the arguments. (Arguments that do not
 * fit are an {@link IllegalArgumentException}.)
 */
public final class LqfException extends RuntimeException {

  /** What failed. */
  public enum Status {
    /** The device or a library it needs is not there. */
    UNAVAILABLE,
    /** The text says how much was asked for. */
    OUT_OF_MEMORY,
    /** A factorisation failed; the text names layer, pivot and damping. */
    NUMERIC,
    /** A defect of lqf. */
    INTERNAL
  }

  private static final long serialVersionUID = 1;

  private final Status status;

  LqfException(Status status, String message) {
    super(message);
    this.status = status;
  }

  public Status status() {
    return status;
  }

  /** The exception for a status of {@code lqf.h} other than LQF_OK. */
  static RuntimeException of(int status, String message) {
    return switch (status) {
      case Lqf.LQF_INVALID -> new IllegalArgumentException(message);
      case Lqf.LQF_UNAVAILABLE -> new LqfException(Status.UNAVAILABLE, message);
      case Lqf.LQF_OUT_OF_MEMORY -> new LqfException(Status.OUT_OF_MEMORY, message);
      case Lqf.LQF_NUMERIC -> new LqfException(Status.NUMERIC, message);
      default -> new LqfException(Status.INTERNAL, message);
    };
  }
}
