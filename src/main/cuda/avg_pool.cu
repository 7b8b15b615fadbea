// avg_pool: mean of the window, padding counts as zeros. One thread for four channels of one pixel.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__device__ float4 divided(float4 sum, const Pool2d& p) {
    const float size = float(p.kh) * float(p.kw);
    return make_float4(sum.x / size, sum.y / size, sum.z / size, sum.w / size);
}

__global__ void avg_pool_kernel(Pool2d p, int64_t outputs, const float* x, float* y) {
    const int64_t i = global_thread();
    if (i >= outputs) return;
    const Position at = position_of(i, p.oh, p.ow);
    const float* plane = x + at.plane * p.ih * p.iw * kBlock;
    float4 sum = zero4();
    for (int k = 0; k < p.kh; k++)
        for (int l = 0; l < p.kw; l++) {
            const int h = at.row * p.stride + k - p.pad, v = at.column * p.stride + l - p.pad;
            if (h >= 0 && h < p.ih && v >= 0 && v < p.iw) sum = sum + ld4(plane + (int64_t(h) * p.iw + v) * kBlock);
        }
    st4(y + i * kBlock, divided(sum, p));
}

__global__ void avg_pool_vjp_kernel(Pool2d p, int64_t inputs, const float* y_bar, float* x_bar, bool accumulate) {
    const int64_t i = global_thread();
    if (i >= inputs) return;
    const Position at = position_of(i, p.ih, p.iw);
    const float* plane = y_bar + at.plane * p.oh * p.ow * kBlock;
    // only rows and columns of windows that have this pixel: the window of a global pool is the image
    const int last_row = min((at.row + p.pad) / p.stride, p.oh - 1);
    const int last_column = min((at.column + p.pad) / p.stride, p.ow - 1);
    const int first_row = max(0, ceil_div(at.row + p.pad - p.kh + 1, p.stride));
    const int first_column = max(0, ceil_div(at.column + p.pad - p.kw + 1, p.stride));
    float4 sum = zero4();
    for (int row = first_row; row <= last_row; row++)
        for (int column = first_column; column <= last_column; column++)
            sum = sum + ld4(plane + (int64_t(row) * p.ow + column) * kBlock);
    put4(x_bar + i * kBlock, divided(sum, p), accumulate);
}

}  // namespace

void avg_pool(Threads&, const Pool2d& p, const float* x, float* y) {
    const int64_t outputs = int64_t(p.n) * blocks_of(p.c) * p.oh * p.ow;
    LQF_LAUNCH(avg_pool_kernel, grid_of(outputs), dim3(kThreads), 0, stream(), p, outputs, x, y);
}

void avg_pool_vjp(Threads&, const Pool2d& p, const float* y_bar, float* x_bar, bool accumulate) {
    const int64_t inputs = int64_t(p.n) * blocks_of(p.c) * p.ih * p.iw;
    LQF_LAUNCH(avg_pool_vjp_kernel, grid_of(inputs), dim3(kThreads), 0, stream(), p, inputs, y_bar, x_bar, accumulate);
}

}  // namespace lqf::gpu
