// How a convolution ends: ops.h.
#ifndef LQF_GPU_EPILOGUE_CUH
#define LQF_GPU_EPILOGUE_CUH

#include "layout.cuh"

namespace lqf::gpu {

__device__ __forceinline__ float leak(float slope, float sign, float value) { return sign > 0 ? value : slope * value; }

__device__ __forceinline__ float4 leak4(float slope, float4 s, float4 v) {
    return make_float4(leak(slope, s.x, v.x), leak(slope, s.y, v.y), leak(slope, s.z, v.z), leak(slope, s.w, v.w));
}

// Stores y[at ... at + 3].
__device__ __forceinline__ void finish4(const Epilogue& e, int64_t at, float4 sum, float* y) {
    if (e.residual) sum = sum + ld4(e.residual + at);
    st4(y + at, e.slope == 1 ? sum : leak4(e.slope, e.mask ? ld4(e.mask + at) : sum, sum));
}

}  // namespace lqf::gpu
#endif
