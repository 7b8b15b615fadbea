// trace: sum of a[i,i] / divisor by one block.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

struct Sums {
    double thread[kThreads];
};

__global__ void __launch_bounds__(kThreads) trace_kernel(int64_t side, const double* a, double divisor, double* trace) {
    Sums& s = shared<Sums>();
    double sum = 0;
    for (int64_t i = threadIdx.x; i < side; i += kThreads) sum += a[i * side + i] / divisor;
    s.thread[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int i = 1; i < kThreads; i++) sum += s.thread[i];
    *trace = sum;
}

}  // namespace

double trace(Threads&, int64_t side, const double* a, double divisor) {
    const Scratch scratch(sizeof(double));
    LQF_LAUNCH(trace_kernel, dim3(1), dim3(kThreads), sizeof(Sums), stream(), side, a, divisor, scratch.at<double>(0));
    double trace;
    copy_out(&trace, scratch.at<double>(0), sizeof trace);
    return trace;
}

}  // namespace lqf::gpu
