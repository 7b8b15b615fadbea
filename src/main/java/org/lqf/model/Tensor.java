package org.lqf.model;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/** A named array of a {@link Safetensors} file: element type, shape, and values. Immutable. */
public final class Tensor {

  /** Element types that can be held; {@code F16} and {@code BF16} can be read as floats. */
  public enum Type {
    F64(8),
    I64(8),
    F32(4),
    F16(2),
    BF16(2);

    final int bytes;

    Type(int bytes) {
      this.bytes = bytes;
    }
  }

  private final Type type;
  private final List<Long> shape;
  private final ByteBuffer data; // little-endian, position 0, limit = size · bytes

  /** Takes over {@code data}; the caller has checked that its length is that of the shape. */
  Tensor(Type type, List<Long> shape, ByteBuffer data) {
    this.type = type;
    this.shape = List.copyOf(shape);
    this.data = data.order(ByteOrder.LITTLE_ENDIAN);
  }

  /** An F32 tensor; without extents its shape is [values.length]. */
  public static Tensor of(float[] values, long... shape) {
    ByteBuffer data = allocate(values.length, Type.F32);
    data.asFloatBuffer().put(values);
    return new Tensor(Type.F32, checked(values.length, shape), data);
  }

  /** An F64 tensor; without extents its shape is [values.length]. */
  public static Tensor of(double[] values, long... shape) {
    ByteBuffer data = allocate(values.length, Type.F64);
    data.asDoubleBuffer().put(values);
    return new Tensor(Type.F64, checked(values.length, shape), data);
  }

  /** An I64 tensor; without extents its shape is [values.length]. */
  public static Tensor of(long[] values, long... shape) {
    ByteBuffer data = allocate(values.length, Type.I64);
    data.asLongBuffer().put(values);
    return new Tensor(Type.I64, checked(values.length, shape), data);
  }

  public Type type() {
    return type;
  }

  /** Extents, slowest first; empty for a scalar. */
  public List<Long> shape() {
    return shape;
  }

  /** Number of values. */
  public int size() {
    return data.limit() / type.bytes;
  }

  /**
   * Values as floats; doubles are rounded to the nearest.
   *
   * @throws IllegalArgumentException if the type is I64
   */
  public float[] floats() {
    if (type == Type.I64) {
      throw new IllegalArgumentException("an I64 tensor holds no floats; use longs()");
    }
    float[] values = new float[size()];
    if (type == Type.F32) {
      bytes().asFloatBuffer().get(values);
      return values;
    }
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (type) {
            case F64 -> (float) data.getDouble(8 * i);
            case F16 -> float16(data.getShort(2 * i));
            default -> Float.intBitsToFloat(data.getShort(2 * i) << 16); // BF16: the upper half
          };
    }
    return values;
  }

  /**
   * Values as doubles, exact.
   *
   * @throws IllegalArgumentException if the type is I64
   */
  public double[] doubles() {
    double[] values = new double[size()];
    if (type == Type.F64) {
      bytes().asDoubleBuffer().get(values);
    } else {
      float[] floats = floats();
      Arrays.setAll(values, i -> floats[i]);
    }
    return values;
  }

  /**
   * Values as integers.
   *
   * @throws IllegalArgumentException if the type is not I64
   */
  public long[] longs() {
    if (type != Type.I64) {
      throw new IllegalArgumentException(
          "a tensor of " + type + " holds no integers; use floats()");
    }
    long[] values = new long[size()];
    bytes().asLongBuffer().get(values);
    return values;
  }

  /** The stored bytes, little-endian: a read-only view. */
  ByteBuffer bytes() {
    return data.asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Tensor that
        && type == that.type
        && shape.equals(that.shape)
        && data.equals(that.data);
  }

  @Override
  public int hashCode() {
    return 31 * shape.hashCode() + data.hashCode();
  }

  /** For example {@code F32 [64,3,7,7]}. */
  @Override
  public String toString() {
    return type + shape.stream().map(String::valueOf).collect(Collectors.joining(",", " [", "]"));
  }

  private static ByteBuffer allocate(int values, Type type) {
    if (values > Integer.MAX_VALUE / type.bytes) {
      throw new IllegalArgumentException(
          "%d values of %s exceed 2 GB; store them as several tensors".formatted(values, type));
    }
    return ByteBuffer.allocate(values * type.bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static List<Long> checked(int values, long[] shape) {
    if (shape.length == 0) {
      return List.of((long) values);
    }
    BigInteger product = BigInteger.ONE; // extents of any size are data here
    for (long extent : shape) {
      product = product.multiply(BigInteger.valueOf(extent));
    }
    boolean negative = LongStream.of(shape).anyMatch(extent -> extent < 0);
    if (negative || !product.equals(BigInteger.valueOf(values))) {
      throw new IllegalArgumentException(
          "shape %s does not hold %d values".formatted(Arrays.toString(shape), values));
    }
    return LongStream.of(shape).boxed().toList();
  }

  /** IEEE 754 binary16: sign 1, exponent 5 (bias 15), fraction 10. */
  private static float float16(short bits) {
    int exponent = (bits >> 10) & 0x1f;
    int fraction = bits & 0x3ff;
    float magnitude;
    if (exponent == 0) {
      magnitude = fraction * 0x1p-24f;
    } else if (exponent == 0x1f) {
      magnitude = fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
    } else {
      magnitude = Math.scalb(1024 + fraction, exponent - 25);
    }
    return bits < 0 ? -magnitude : magnitude;
  }
}
