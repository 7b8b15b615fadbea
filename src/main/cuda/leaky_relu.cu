// leaky_relu: y = z > 0 ? z : slope z, and the diagonal map of its jvp and vjp. count is a multiple of four: the layout's.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__device__ __forceinline__ float leak(float slope, float sign, float value) { return sign > 0 ? value : slope * value; }

__device__ __forceinline__ float4 leak4(float slope, float4 s, float4 v) {
    return make_float4(leak(slope, s.x, v.x), leak(slope, s.y, v.y), leak(slope, s.z, v.z), leak(slope, s.w, v.w));
}

__global__ void leaky_relu_kernel(int64_t count, float slope, const float* z, float* y) {
    const int64_t i = global_thread() * kBlock;
    if (i >= count) return;
    const float4 v = ld4(z + i);
    st4(y + i, leak4(slope, v, v));
}

__global__ void leaky_relu_scale_kernel(int64_t count, float slope, const float* y, const float* y_bar, float* z_bar,
                                        bool accumulate) {
    const int64_t i = global_thread() * kBlock;
    if (i >= count) return;
    put4(z_bar + i, leak4(slope, ld4(y + i), ld4(y_bar + i)), accumulate);
}

}  // namespace

void leaky_relu(Threads&, int64_t count, float slope, const float* z, float* y) {
    LQF_LAUNCH(leaky_relu_kernel, grid_of(count / kBlock), dim3(kThreads), 0, stream(), count, slope, z, y);
}

void leaky_relu_scale(Threads&, int64_t count, float slope, const float* y, const float* y_bar, float* z_bar,
                      bool accumulate) {
    LQF_LAUNCH(leaky_relu_scale_kernel, grid_of(count / kBlock), dim3(kThreads), 0, stream(), count, slope, y, y_bar,
               z_bar, accumulate);
}

}  // namespace lqf::gpu
