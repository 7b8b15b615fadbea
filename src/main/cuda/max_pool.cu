// max_pool: largest value of the window, the first one wins; argmax [n, ceil(c / 4), oh, ow, 4] is its h * iw + w.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__device__ void take_larger(float value, int pixel, float& best, int32_t& at) {
    if (at >= 0 && !(value > best)) return;
    best = value;
    at = pixel;
}

// One thread for four channels of one output pixel.
__global__ void max_pool_kernel(Pool2d p, int64_t outputs, const float* x, float* y, int32_t* argmax) {
    const int64_t i = global_thread();
    if (i >= outputs) return;
    const Position at = position_of(i, p.oh, p.ow);
    const float* plane = x + at.plane * p.ih * p.iw * kBlock;
    float4 best = zero4();
    int32_t pixel[kBlock] = {-1, -1, -1, -1};
    for (int k = 0; k < p.kh; k++)
        for (int l = 0; l < p.kw; l++) {
            const int h = at.row * p.stride + k - p.pad, v = at.column * p.stride + l - p.pad;
            if (h < 0 || h >= p.ih || v < 0 || v >= p.iw) continue;
            const int here = h * p.iw + v;
            const float4 value = ld4(plane + int64_t(here) * kBlock);
            take_larger(value.x, here, best.x, pixel[0]);
            take_larger(value.y, here, best.y, pixel[1]);
            take_larger(value.z, here, best.z, pixel[2]);
            take_larger(value.w, here, best.w, pixel[3]);
        }
    st4(y + i * kBlock, best);
    for (int lane = 0; lane < kBlock; lane++) argmax[i * kBlock + lane] = pixel[lane];
}

// One thread for one channel of one output pixel.
__global__ void max_pool_jvp_kernel(Pool2d p, int64_t count, const float* x_dot, const int32_t* argmax, float* y_dot) {
    const int64_t i = global_thread();
    if (i >= count) return;
    const int64_t plane = i / kBlock / (int64_t(p.oh) * p.ow);
    y_dot[i] = x_dot[(plane * p.ih * p.iw + argmax[i]) * kBlock + i % kBlock];
}

// One thread for four channels of one input pixel: the sum over the windows that chose it.
__global__ void max_pool_vjp_kernel(Pool2d p, int64_t inputs, const float* y_bar, const int32_t* argmax, float* x_bar,
                                    bool accumulate) {
    const int64_t i = global_thread();
    if (i >= inputs) return;
    const Position at = position_of(i, p.ih, p.iw);
    const unsigned pixel = unsigned(at.row * p.iw + at.column);
    // windows with this pixel: from (first_row, first_column) back to where they end before it
    const int first_row = min((at.row + p.pad) / p.stride, p.oh - 1);
    const int first_column = min((at.column + p.pad) / p.stride, p.ow - 1);
    float4 sum = zero4();
    for (int row = first_row; row >= 0 && row * p.stride + p.kh > at.row + p.pad; row--)
        for (int column = first_column; column >= 0 && column * p.stride + p.kw > at.column + p.pad; column--) {
            const int64_t out = ((at.plane * p.oh + row) * p.ow + column) * kBlock;
            const float4 u = ld4(y_bar + out), chosen = ld4(reinterpret_cast<const float*>(argmax) + out);
            if (__float_as_uint(chosen.x) == pixel) sum.x += u.x;
            if (__float_as_uint(chosen.y) == pixel) sum.y += u.y;
            if (__float_as_uint(chosen.z) == pixel) sum.z += u.z;
            if (__float_as_uint(chosen.w) == pixel) sum.w += u.w;
        }
    put4(x_bar + i * kBlock, sum, accumulate);
}

}  // namespace

void max_pool(Threads&, const Pool2d& p, const float* x, float* y, int32_t* argmax) {
    const int64_t outputs = int64_t(p.n) * blocks_of(p.c) * p.oh * p.ow;
    LQF_LAUNCH(max_pool_kernel, grid_of(outputs), dim3(kThreads), 0, stream(), p, outputs, x, y, argmax);
}

void max_pool_jvp(Threads&, const Pool2d& p, const float* x_dot, const int32_t* argmax, float* y_dot) {
    const int64_t count = int64_t(p.n) * padded_channels(p.c) * p.oh * p.ow;
    LQF_LAUNCH(max_pool_jvp_kernel, grid_of(count), dim3(kThreads), 0, stream(), p, count, x_dot, argmax, y_dot);
}

void max_pool_vjp(Threads&, const Pool2d& p, const float* y_bar, const int32_t* argmax, float* x_bar, bool accumulate) {
    const int64_t inputs = int64_t(p.n) * blocks_of(p.c) * p.ih * p.iw;
    LQF_LAUNCH(max_pool_vjp_kernel, grid_of(inputs), dim3(kThreads), 0, stream(), p, inputs, y_bar, argmax, x_bar,
               accumulate);
}

}  // namespace lqf::gpu
