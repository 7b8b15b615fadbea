// conv2d, conv2d_jvp: version 1, one thread for four output channels of one pixel. Weights packed as conv2d_pack.cu says.
#include "backend.h"
#include "epilogue.cuh"

namespace lqf::gpu {
namespace {

// sum += <patch of x at (row, column), four filters of w>
__device__ float4 correlate(const Conv2d& c, const float* x /*of the image*/, const float* w /*of the four*/, int row,
                            int column, float4 sum) {
    const int columns = padded_channels(c.oc);
    for (int block = 0; block < blocks_of(c.ic); block++)
        for (int i = 0; i < c.kh; i++)
            for (int j = 0; j < c.kw; j++, w += kBlock * columns) {
                const int h = row * c.stride + i - c.pad, v = column * c.stride + j - c.pad;
                if (h < 0 || h >= c.ih || v < 0 || v >= c.iw) continue;
                const float4 a = ld4(x + ((int64_t(block) * c.ih + h) * c.iw + v) * kBlock);
                sum = sum + a.x * ld4(w) + a.y * ld4(w + columns) + a.z * ld4(w + 2 * columns) +
                      a.w * ld4(w + 3 * columns);
            }
    return sum;
}

// y = epilogue(conv(x, w) if given, + conv(x_dot, v) if given, + bias)
__global__ void conv2d_kernel(Conv2d c, const float* x, const float* w, const float* x_dot, const float* v,
                              const float* bias, Epilogue epilogue, float* y) {
    const int blocks = blocks_of(c.oc);
    const int64_t i = global_thread();
    if (i >= int64_t(c.n) * blocks * c.oh * c.ow) return;
    const Position at = position_of(i, c.oh, c.ow);
    const int64_t image = at.plane / blocks, image_floats = int64_t(padded_channels(c.ic)) * c.ih * c.iw;
    const int block = int(at.plane % blocks);
    float4 sum = bias ? ld4(bias + block * kBlock) : zero4();
    if (x) sum = correlate(c, x + image * image_floats, w + block * kBlock, at.row, at.column, sum);
    if (x_dot) sum = correlate(c, x_dot + image * image_floats, v + block * kBlock, at.row, at.column, sum);
    finish4(epilogue, i * kBlock, sum, y);
}

const float* bias_of(const Conv2d& c, const float* packed) {
    return packed + int64_t(padded_channels(c.ic)) * c.kh * c.kw * padded_channels(c.oc);
}

void run(const Conv2d& c, const float* x, const float* w, const float* x_dot, const float* v, const float* bias,
         const Epilogue& epilogue, float* y) {
    const int64_t outputs = int64_t(c.n) * blocks_of(c.oc) * c.oh * c.ow;
    LQF_LAUNCH(conv2d_kernel, grid_of(outputs), dim3(kThreads), 0, stream(), c, x, w, x_dot, v, bias, epilogue, y);
}

}  // namespace

void conv2d(Threads&, const Conv2d& c, const float* x, const float* w0, const Epilogue& epilogue, float* y) {
    run(c, x, w0, nullptr, nullptr, bias_of(c, w0), epilogue, y);
}

void conv2d_jvp(Threads&, const Conv2d& c, const float* x, const float* x_dot, const float* w0, const float* delta,
                const Epilogue& epilogue, float* y_dot) {
    run(c, delta ? x : nullptr, delta, x_dot, w0, delta ? bias_of(c, delta) : nullptr, epilogue, y_dot);
}

void conv2d_with_jvp(Threads& threads, const Conv2d& c, const float* x, const float* x_dot, const float* w0,
                     const float* delta, const Epilogue& epilogue, const float* residual_dot, float* y, float* y_dot) {
    conv2d(threads, c, x, w0, epilogue, y);
    conv2d_jvp(threads, c, x, x_dot, w0, delta, {residual_dot, y, epilogue.slope}, y_dot);
}

}  // namespace lqf::gpu
