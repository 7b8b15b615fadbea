// subsample: y[before + k, i, j] = x[k, i stride, j stride], the other channels of y are zero. One thread a float: `before` need not be a
// multiple of the channel block.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void subsample_kernel(Subsample s, int64_t count, const float* x, float* y) {
    const int64_t i = global_thread();
    if (i >= count) return;
    const Position at = position_of(i / kBlock, s.oh, s.ow);
    const int64_t image = at.plane / blocks_of(s.oc);
    const int k = int(at.plane % blocks_of(s.oc)) * kBlock + int(i % kBlock) - s.before;
    const int64_t plane = image * blocks_of(s.c) + k / kBlock;
    y[i] = k >= 0 && k < s.c
               ? x[((plane * s.ih + at.row * s.stride) * s.iw + at.column * s.stride) * kBlock + k % kBlock]
               : 0.0f;
}

__global__ void subsample_vjp_kernel(Subsample s, int64_t count, const float* y_bar, float* x_bar, bool accumulate) {
    const int64_t i = global_thread();
    if (i >= count) return;
    const Position at = position_of(i / kBlock, s.ih, s.iw);
    const int64_t image = at.plane / blocks_of(s.c);
    const int k = int(at.plane % blocks_of(s.c)) * kBlock + int(i % kBlock);
    float value = 0;
    if (k < s.c && at.row % s.stride == 0 && at.column % s.stride == 0) {
        const int o = k + s.before;
        const int64_t plane = image * blocks_of(s.oc) + o / kBlock;
        value = y_bar[((plane * s.oh + at.row / s.stride) * s.ow + at.column / s.stride) * kBlock + o % kBlock];
    }
    x_bar[i] = accumulate ? x_bar[i] + value : value;
}

}  // namespace

void subsample(Threads&, const Subsample& s, const float* x, float* y) {
    const int64_t count = int64_t(s.n) * padded_channels(s.oc) * s.oh * s.ow;
    LQF_LAUNCH(subsample_kernel, grid_of(count), dim3(kThreads), 0, stream(), s, count, x, y);
}

void subsample_vjp(Threads&, const Subsample& s, const float* y_bar, float* x_bar, bool accumulate) {
    const int64_t count = int64_t(s.n) * padded_channels(s.c) * s.ih * s.iw;
    LQF_LAUNCH(subsample_vjp_kernel, grid_of(count), dim3(kThreads), 0, stream(), s, count, y_bar, x_bar, accumulate);
}

}  // namespace lqf::gpu
