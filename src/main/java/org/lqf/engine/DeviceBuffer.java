package org.lqf.engine;

/**
 * Floats in the memory of a device: where they are and how many. It owns nothing and copies
 * nothing.
 *
 * <p>A service's own buffer enters by {@link Engine#vector(DeviceBuffer)}, a vector's floats are
 * shown to others by {@link DeviceVector#buffer}. With the Bytedeco CUDA presets: {@code
 * DeviceBuffer.of(pointer.address(), floats)}.
 *
 * @param address of the first one on the device, a multiple of 16
 * @param floats at least 1
 */
public record DeviceBuffer(long address, long floats) {

  private static final int ALIGNMENT = 16;

  public DeviceBuffer {
    if (address == 0) {
      throw new IllegalArgumentException("the address of a device buffer is null");
    }
    if (address % ALIGNMENT != 0) {
      throw new IllegalArgumentException(
          "a device buffer at %#x is not aligned to %d bytes".formatted(address, ALIGNMENT));
    }
    if (floats < 1) {
      throw new IllegalArgumentException(
          "a device buffer of %d floats, expected at least 1".formatted(floats));
    }
  }

  public static DeviceBuffer of(long address, long floats) {
    return new DeviceBuffer(address, floats);
  }
}
