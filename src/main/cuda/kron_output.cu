// kron_output: g += sum y_bar y_bar^T / T over images and positions. Version 1: one thread for one entry.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void kron_output_kernel(Conv2d c, const float* y_bar, bool reduce, double* g) {
    const int64_t t = global_thread();
    if (t >= int64_t(c.oc) * c.oc) return;
    const int i = int(t / c.oc), j = int(t % c.oc), positions = c.oh * c.ow;
    for (int image = 0; image < c.n; image++, y_bar += int64_t(padded_channels(c.oc)) * positions) {
        const float* u = y_bar + int64_t(i / kBlock) * positions * kBlock + i % kBlock;
        const float* v = y_bar + int64_t(j / kBlock) * positions * kBlock + j % kBlock;
        float sum = 0, u_sum = 0, v_sum = 0;
        for (int p = 0; p < positions; p++) {
            sum += u[p * kBlock] * v[p * kBlock];
            u_sum += u[p * kBlock];
            v_sum += v[p * kBlock];
        }
        g[t] += reduce ? double(u_sum) * double(v_sum) : double(sum) / double(positions);
    }
}

}  // namespace

void kron_output(Threads&, const Conv2d& c, const float* y_bar, bool reduce, double* g) {
    LQF_LAUNCH(kron_output_kernel, grid_of(int64_t(c.oc) * c.oc), dim3(kThreads), 0, stream(), c, y_bar, reduce, g);
}

}  // namespace lqf::gpu
