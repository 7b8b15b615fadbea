// conv2d_vjp_x: version 1, one thread for four input channels of one pixel. Weights as conv2d_pack_transposed leaves them.
#include "backend.h"
#include "epilogue.cuh"

namespace lqf::gpu {
namespace {

__global__ void conv2d_vjp_x_kernel(Conv2d c, const float* y_bar, const float* w, Epilogue epilogue, float* x_bar) {
    const int blocks = blocks_of(c.ic), columns = padded_channels(c.ic);
    const int64_t t = global_thread();
    if (t >= int64_t(c.n) * blocks * c.ih * c.iw) return;
    const Position at = position_of(t, c.ih, c.iw);
    const int64_t image = at.plane / blocks;
    w += at.plane % blocks * kBlock;
    float4 sum = zero4();
    for (int block = 0; block < blocks_of(c.oc); block++)
        for (int i = 0; i < c.kh; i++)
            for (int j = 0; j < c.kw; j++, w += kBlock * columns) {
                const int row = window_with(at.row, i, c.stride, c.pad, c.oh);
                const int column = window_with(at.column, j, c.stride, c.pad, c.ow);
                if (row < 0 || column < 0) continue;
                const float4 a =
                    ld4(y_bar + (((image * blocks_of(c.oc) + block) * c.oh + row) * c.ow + column) * kBlock);
                sum = sum + a.x * ld4(w) + a.y * ld4(w + columns) + a.z * ld4(w + 2 * columns) +
                      a.w * ld4(w + 3 * columns);
            }
    finish4(epilogue, t * kBlock, sum, x_bar);
}

}  // namespace

void conv2d_vjp_x(Threads&, const Conv2d& c, const float* y_bar, const float* w0, const Epilogue& epilogue,
                  float* x_bar) {
    const int64_t inputs = int64_t(c.n) * blocks_of(c.ic) * c.ih * c.iw;
    LQF_LAUNCH(conv2d_vjp_x_kernel, grid_of(inputs), dim3(kThreads), 0, stream(), c, y_bar, w0, epilogue, x_bar);
}

}  // namespace lqf::gpu
