// matmul: c [m,n] = op(a) op(b). Version 1: one thread for one entry.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void matmul_kernel(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, const float* a,
                              const float* b, float* c) {
    const int64_t t = global_thread(), i = t / n, j = t % n;
    if (t >= m * n) return;
    float sum = 0;
    for (int64_t l = 0; l < k; l++)
        sum += (a_transposed ? a[l * m + i] : a[i * k + l]) * (b_transposed ? b[j * k + l] : b[l * n + j]);
    c[t] = sum;
}

}  // namespace

void matmul(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, const float* a, const float* b,
            float* c) {
    LQF_LAUNCH(matmul_kernel, grid_of(m * n), dim3(kThreads), 0, stream(), a_transposed, b_transposed, m, n, k, a, b,
               c);
}

}  // namespace lqf::gpu
