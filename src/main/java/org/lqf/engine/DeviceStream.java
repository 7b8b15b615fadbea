package org.lqf.engine;

/**
 * A stream of a device, in which work is done in the order in which it was queued. It owns nothing.
 *
 * <p>With the Bytedeco CUDA presets: {@code DeviceStream.of(stream.address())} of a {@code
 * CUstream_st}.
 *
 * @param handle the {@code cudaStream_t}; 0 is the default stream, which cannot be captured: there
 *     verbs are launched kernel by kernel
 */
public record DeviceStream(long handle) {

  public static DeviceStream of(long handle) {
    return new DeviceStream(handle);
  }
}
