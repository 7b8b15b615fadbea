// Small kernels, each with one planted fault that `bad` switches on: what the checkers are checked with.
#include "faults.h"
#include "ptx.cuh"

namespace lqf::gpu::faults {
namespace {

struct Shared {
    float a[kThreads], b[kThreads];
};

__global__ void missing_sync(const float* x, float* y, int bad) {
    Shared& s = shared<Shared>();
    const int t = threadIdx.x;
    s.a[t] = x[t];
    if (!bad) __syncthreads();
    y[t] = s.a[kThreads - 1 - t];
}

__global__ void write_after_read(const float* x, float* y, int bad) {
    Shared& s = shared<Shared>();
    const int t = threadIdx.x;
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        s.a[t] = x[i * kThreads + t];
        __syncthreads();
        sum += s.a[(t + 17) % kThreads];
        if (!bad) __syncthreads();
    }
    y[t] = sum;
}

__global__ void shared_out_of_bounds(const float* x, float* y, int bad) {
    Shared& s = shared<Shared>();
    const int t = threadIdx.x, at = bad ? t + 1 : t;
    s.b[at] = x[t];
    __syncthreads();
    y[t] = s.b[at];
}

__global__ void device_out_of_bounds(const float* x, float* y, int bad) {
    const int t = threadIdx.x;
    y[t] = x[bad ? t + kInputs - kThreads + 1 : t];
}

__global__ void misaligned(const float* x, float* y, int bad) {
    const int t = threadIdx.x;
    y[t] = ld4(x + 4 * (t % 16) + (bad ? 1 : 0)).x;
}

__global__ void divergent_barrier(const float* x, float* y, int bad) {
    Shared& s = shared<Shared>();
    const int t = threadIdx.x;
    s.a[t] = x[t];
    if (!bad || t < 32) {
        __syncthreads();
    } else {
        s.b[t] = 1;
        __syncthreads();
    }
    y[t] = s.a[t];
}

__global__ void uninitialised(const float* x, float* y, int bad) {
    Shared& s = shared<Shared>();
    const int t = threadIdx.x;
    if (!bad || t != 5) s.a[t] = x[t];
    __syncthreads();
    y[t] = s.a[kThreads - 1 - t];
}

// All blocks write the same values to the same place: no value tells.
__global__ void blocks_race(const float* x, float* y, int bad) {
    const int t = threadIdx.x;
    if (bad || blockIdx.x == 0) y[t] = x[t];
}

__global__ void copy_without_wait(const float* x, float* y, int bad) {
    Shared& s = shared<Shared>();
    const int t = threadIdx.x;
    if (t < kThreads / 4) ptx::copy_async16(&s.a[4 * t], x + 4 * t, false);
    ptx::copy_commit();
    if (!bad) ptx::copy_wait<0>();
    __syncthreads();
    const float value = s.a[kThreads - 1 - t];
    ptx::copy_wait<0>();
    y[t] = value;
}

__global__ void copy_refills_too_early(const float* x, float* y, int bad) {
    Shared& s = shared<Shared>();
    const int t = threadIdx.x;
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        if (t < kThreads / 4) ptx::copy_async16(&s.a[4 * t], x + i * kThreads + 4 * t, false);
        ptx::copy_commit();
        ptx::copy_wait<0>();
        __syncthreads();
        sum += s.a[kThreads - 1 - t];
        if (!bad) __syncthreads();
    }
    y[t] = sum;
}

__global__ void warp_without_sync(const float* x, float* y, int bad) {
    Shared& s = shared<Shared>();
    const int t = threadIdx.x;
    s.a[t] = x[t];
    __syncthreads();
    if (t < 32)
        for (int distance = 16; distance; distance /= 2) {
            const float sum = s.a[t] + s.a[t + distance];
            if (!bad) __syncwarp();
            s.a[t] = sum;
            if (!bad) __syncwarp();
        }
    __syncthreads();
    y[t] = s.a[0];
}

__global__ void shuffle_in_a_branch(const float* x, float* y, int bad) {
    const int t = threadIdx.x;
    float value = x[t];
    if (bad && t % 32 < 16) value += __shfl_xor_sync(kFullWarp, value, 8);
    if (!bad) value += __shfl_xor_sync(kFullWarp, value, 8);
    y[t] = value;
}

}  // namespace

const Fault kFaults[] = {
    {"missing_sync", missing_sync, 1},
    {"write_after_read", write_after_read, 1},
    {"shared_out_of_bounds", shared_out_of_bounds, 1},
    {"device_out_of_bounds", device_out_of_bounds, 1},
    {"misaligned", misaligned, 1},
    {"divergent_barrier", divergent_barrier, 1},
    {"uninitialised", uninitialised, 1},
    {"blocks_race", blocks_race, 3},
    {"copy_without_wait", copy_without_wait, 1},
    {"copy_refills_too_early", copy_refills_too_early, 1},
    {"warp_without_sync", warp_without_sync, 1},
    {"shuffle_in_a_branch", shuffle_in_a_branch, 1},
};
const int kFaultCount = sizeof kFaults / sizeof *kFaults;

void run(const Fault& fault, const float* x, float* y, bool bad) {
    launch(fault.name, fault.kernel, dim3(unsigned(fault.blocks)), dim3(kThreads), sizeof(Shared), nullptr, x, y,
           int(bad));
}

}  // namespace lqf::gpu::faults
