package org.lqf.engine;

import org.lqf.binding.Lqf;
import org.lqf.binding.LqfVector;

/**
 * Floats on the device: parameters, a displacement, a gradient, or the outputs of a batch.
 *
 * <p>Methods that change the vector return it. Factors are doubles for the caller's convenience and
 * are rounded to float. Vectors of one operation must have equal lengths and one engine.
 */
public final class DeviceVector extends Handle {

  final LqfVector pointer;
  private final long length;

  private DeviceVector(LqfVector vector, long length) {
    super(vector, Lqf::lqf_vector_destroy);
    this.pointer = vector;
    this.length = length;
  }

  static DeviceVector create(Engine engine, long length) {
    LqfVector vector = new LqfVector();
    call(() -> Lqf.lqf_vector_create(engine.pointer, length, vector), engine);
    return new DeviceVector(vector, length);
  }

  static DeviceVector borrow(Engine engine, DeviceBuffer buffer) {
    LqfVector vector = new LqfVector();
    call(
        () -> Lqf.lqf_vector_borrow(engine.pointer, buffer.address(), buffer.floats(), vector),
        engine);
    return new DeviceVector(vector, buffer.floats());
  }

  /**
   * Where the floats are, for others who compute on the device: good until this is closed.
   *
   * @throws IllegalArgumentException if the device computes in the host's memory
   */
  public DeviceBuffer buffer() {
    long[] address = new long[1];
    call(() -> Lqf.lqf_vector_address(pointer, address), this);
    return new DeviceBuffer(address[0], length);
  }

  /** Number of floats. */
  public long length() {
    return length;
  }

  /** this = (value, value, …) */
  public DeviceVector fill(double value) {
    enter();
    try {
      check(Lqf.lqf_vector_fill(pointer, (float) value));
    } finally {
      leave();
    }
    return this;
  }

  /** this = source */
  public DeviceVector set(DeviceVector source) {
    begin(this, source);
    try {
      check(Lqf.lqf_vector_set(pointer, source.pointer));
    } finally {
      end(this, source);
    }
    return this;
  }

  /** this = factor · this */
  public DeviceVector scale(double factor) {
    enter();
    try {
      check(Lqf.lqf_vector_scale(pointer, (float) factor));
    } finally {
      leave();
    }
    return this;
  }

  /** this = this + factor · x */
  public DeviceVector add(double factor, DeviceVector x) {
    begin(this, x);
    try {
      check(Lqf.lqf_vector_add(pointer, (float) factor, x.pointer));
    } finally {
      end(this, x);
    }
    return this;
  }

  /** Inner product, summed in double by a fixed tree. */
  public double dot(DeviceVector other) {
    double[] result = new double[1];
    call(() -> Lqf.lqf_vector_dot(pointer, other.pointer, result), this, other);
    return result[0];
  }

  /** Euclidean norm. */
  public double norm() {
    return Math.sqrt(dot(this));
  }

  /** Copies all of values to the front of this vector. */
  public DeviceVector write(float[] values) {
    return write(0, values);
  }

  /** Copies all of values to [offset, offset + values.length) of this vector. */
  public DeviceVector write(long offset, float[] values) {
    call(() -> Lqf.lqf_vector_write(pointer, offset, values, values.length), this);
    return this;
  }

  /** Fills target from the front of this vector. */
  public void read(float[] target) {
    read(0, target);
  }

  /** Fills target from [offset, offset + target.length) of this vector. */
  public void read(long offset, float[] target) {
    call(() -> Lqf.lqf_vector_read(pointer, offset, target, target.length), this);
  }

  /**
   * A copy on the heap.
   *
   * @throws ArithmeticException if the vector is longer than an array can be
   */
  public float[] toArray() {
    float[] values = new float[Math.toIntExact(length)];
    read(values);
    return values;
  }

  @Override
  public String toString() {
    return "DeviceVector[" + length + "]";
  }
}
