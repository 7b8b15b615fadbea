// gram: out[i * out_stride + j] = <a_i, b_j>. Version 1: one thread for one entry, double.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void gram_kernel(int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b, double* out,
                            int64_t out_stride) {
    const int64_t t = global_thread(), i = t / b_rows, j = t % b_rows;
    if (t >= a_rows * b_rows) return;
    double sum = 0;
    for (int64_t k = 0; k < length; k++) sum += double(a[i * length + k]) * double(b[j * length + k]);
    out[i * out_stride + j] = sum;
}

}  // namespace

void gram(Threads&, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b, double* out,
          int64_t out_stride) {
    LQF_LAUNCH(gram_kernel, grid_of(a_rows * b_rows), dim3(kThreads), 0, stream(), a_rows, b_rows, length, a, b, out,
               out_stride);
    synchronise();  // the caller mirrors
}

}  // namespace lqf::gpu
