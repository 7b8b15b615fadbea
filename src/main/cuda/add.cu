// add: y = a + b, the residual connection. count is a multiple of four: the layout's.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void add_kernel(int64_t count, const float* a, const float* b, float* y) {
    const int64_t i = global_thread() * kBlock;
    if (i < count) st4(y + i, ld4(a + i) + ld4(b + i));
}

}  // namespace

void add(Threads&, int64_t count, const float* a, const float* b, float* y) {
    LQF_LAUNCH(add_kernel, grid_of(count / kBlock), dim3(kThreads), 0, stream(), count, a, b, y);
}

}  // namespace lqf::gpu
