// scale_doubles, add_doubles: the sums behind the Kronecker factors.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void __launch_bounds__(kThreads) scale_kernel(int64_t n, double a, double* x) {
    const int64_t i = global_thread();
    if (i < n) x[i] *= a;
}

__global__ void __launch_bounds__(kThreads)
    add_kernel(int64_t n, int count, const double* x, int64_t stride, double* y) {
    const int64_t i = global_thread();
    if (i >= n) return;
    double sum = y[i];
    for (int k = 0; k < count; k++) sum += x[k * stride + i];
    y[i] = sum;
}

}  // namespace

void scale_doubles(Threads&, int64_t n, double a, double* x) {
    LQF_LAUNCH(scale_kernel, grid_of(n), dim3(kThreads), 0, stream(), n, a, x);
}

void add_doubles(Threads&, int64_t n, int count, const double* x, int64_t stride, double* y) {
    LQF_LAUNCH(add_kernel, grid_of(n), dim3(kThreads), 0, stream(), n, count, x, stride, y);
}

}  // namespace lqf::gpu
