// Where things stand in the layout [n, ceil(c / 4), h, w, 4]: one float4 is four channels of one pixel, so neighbouring threads on
// neighbouring pixels read neighbouring 16 bytes, and so does a tensor core's row.
#ifndef LQF_GPU_LAYOUT_CUH
#define LQF_GPU_LAYOUT_CUH

#include "gpu.cuh"
#include "ops.h"

namespace lqf::gpu {

constexpr int kBlock = 4;  // channels

__host__ __device__ constexpr int blocks_of(int channels) { return (channels + kBlock - 1) / kBlock; }
__host__ __device__ constexpr int padded_channels(int channels) { return blocks_of(channels) * kBlock; }

// The output row (or column) whose window has input row `in` under its tap, or -1: the transpose of in = out * stride + tap - pad.
__host__ __device__ inline int window_with(int in, int tap, int stride, int pad, int extent) {
    const int start = in + pad - tap;
    return start >= 0 && start % stride == 0 && start / stride < extent ? start / stride : -1;
}

// A float4 of a batch of planes, found from its number: [planes = n * blocks, h, w].
struct Position {
    int64_t plane;
    int row, column;
};
__host__ __device__ inline Position position_of(int64_t index, int h, int w) {
    if (index <= INT32_MAX) {  // a GPU divides 32 bits several times faster than 64
        const int rows = int(index) / w;
        return {rows / h, rows % h, int(index) - rows * w};
    }
    const int64_t rows = index / w;
    return {rows / h, int(rows % h), int(index % w)};
}

__device__ __forceinline__ float4 zero4() { return make_float4(0, 0, 0, 0); }
__device__ __forceinline__ float4 operator+(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

// Sets, or accumulates if asked.
__device__ __forceinline__ void put4(float* p, float4 value, bool accumulate) {
    st4(p, accumulate ? ld4(p) + value : value);
}

constexpr int kThreads = 256;  // of a block that works off items one by one

// One thread for every item.
inline dim3 grid_of(int64_t items) { return dim3(unsigned(ceil_div<int64_t>(items, kThreads))); }

}  // namespace lqf::gpu
#endif
