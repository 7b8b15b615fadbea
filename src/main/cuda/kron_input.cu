// kron_input: a += sum ã ã^T over images and positions. Version 1: one thread for one entry.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

// Component k of the patch at position (row, column), 1 behind the last.
__device__ float patch_at(const Conv2d& c, const float* x /*of the image*/, int64_t k, int row, int column) {
    if (k == c.patch()) return 1.0f;
    const int j = int(k % c.kw), i = int(k / c.kw % c.kh), channel = int(k / c.kw / c.kh);
    const int h = row * c.stride + i - c.pad, v = column * c.stride + j - c.pad;
    if (h < 0 || h >= c.ih || v < 0 || v >= c.iw) return 0.0f;
    return x[((int64_t(channel / kBlock) * c.ih + h) * c.iw + v) * kBlock + channel % kBlock];
}

__global__ void kron_input_kernel(Conv2d c, const float* x, bool reduce, double* a) {
    const int64_t side = c.patch() + 1, t = global_thread();
    if (t >= side * side) return;
    const int positions = c.oh * c.ow;
    for (int image = 0; image < c.n; image++, x += int64_t(padded_channels(c.ic)) * c.ih * c.iw) {
        float sum = 0, row_sum = 0, column_sum = 0;
        for (int p = 0; p < positions; p++) {
            const float u = patch_at(c, x, t / side, p / c.ow, p % c.ow);
            const float v = patch_at(c, x, t % side, p / c.ow, p % c.ow);
            sum += u * v;
            row_sum += u;
            column_sum += v;
        }
        a[t] += reduce ? double(row_sum / float(positions)) * double(column_sum / float(positions)) : double(sum);
    }
}

}  // namespace

void kron_input(Threads&, const Conv2d& c, const float* x, bool reduce, double* a) {
    const int64_t side = c.patch() + 1;
    LQF_LAUNCH(kron_input_kernel, grid_of(side * side), dim3(kThreads), 0, stream(), c, x, reduce, a);
}

}  // namespace lqf::gpu
