// conv2d_vjp_w: version 1, one thread for one weight. The sum of an image is finished before it is added: images in order.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void conv2d_vjp_w_kernel(Conv2d c, const float* x, const float* y_bar, float* w_bar, float* b_bar,
                                    int64_t image_stride) {
    const int64_t weights = c.patch() * c.oc, t = global_thread();
    if (t >= weights + c.oc) return;
    const bool bias = t >= weights;
    const int j = bias ? 0 : int(t % c.kw), i = bias ? 0 : int(t / c.kw % c.kh);
    const int k = bias ? 0 : int(t / c.kw / c.kh % c.ic), o = int(bias ? t - weights : t / c.patch());
    float* target = bias ? b_bar + o : w_bar + t;
    for (int image = 0; image < c.n; image++, target += image_stride) {
        const float* xp = x + (int64_t(image) * blocks_of(c.ic) + k / kBlock) * c.ih * c.iw * kBlock + k % kBlock;
        const float* yp = y_bar + (int64_t(image) * blocks_of(c.oc) + o / kBlock) * c.oh * c.ow * kBlock + o % kBlock;
        float sum = 0;
        for (int row = 0; row < c.oh; row++) {
            float line = 0;  // a sum of sums rounds less
            for (int column = 0; column < c.ow; column++, yp += kBlock) {
                const int h = row * c.stride + i - c.pad, v = column * c.stride + j - c.pad;
                if (bias)
                    line += *yp;
                else if (h >= 0 && h < c.ih && v >= 0 && v < c.iw)
                    line += *yp * xp[(int64_t(h) * c.iw + v) * kBlock];
            }
            sum += line;
        }
        *target += sum;
    }
}

}  // namespace

void conv2d_vjp_w(Threads&, const Conv2d& c, const float* x, const float* y_bar, float* w_bar, float* b_bar,
                  int64_t image_stride) {
    LQF_LAUNCH(conv2d_vjp_w_kernel, grid_of(c.patch() * c.oc + c.oc), dim3(kThreads), 0, stream(), c, x, y_bar, w_bar,
               b_bar, image_stride);
}

}  // namespace lqf::gpu
