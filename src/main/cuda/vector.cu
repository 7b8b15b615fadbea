// Vector algebra. Vectors start anywhere (a layer's part of the parameters), hence float by float; neighbouring threads, neighbouring
// floats.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

constexpr int kItems = 8;                               // of a thread
constexpr int64_t kChunk = int64_t(kThreads) * kItems;  // of a block

dim3 chunks_of(int64_t n) { return dim3(unsigned(ceil_div(n, kChunk))); }

// The thread's floats: first, first + kThreads, ... below last.
struct Span {
    int64_t first, last;
};
__device__ Span span(int64_t n) {
    const int64_t start = int64_t(blockIdx.x) * kChunk;
    return {start + threadIdx.x, min(n, start + kChunk)};
}

__global__ void fill_kernel(int64_t n, float value, float* x) {
    const Span s = span(n);
    for (int64_t i = s.first; i < s.last; i += kThreads) x[i] = value;
}

__global__ void scale_kernel(int64_t n, float a, float* x) {
    const Span s = span(n);
    for (int64_t i = s.first; i < s.last; i += kThreads) x[i] *= a;
}

__global__ void axpy_kernel(int64_t n, float a, const float* x, float* y) {
    const Span s = span(n);
    for (int64_t i = s.first; i < s.last; i += kThreads) y[i] += a * x[i];
}

struct Sums {
    double warp[kThreads / 32];
};

// The sum over a block's threads, in thread 0: a fixed tree.
__device__ double block_sum(double value) {
    Sums& s = shared<Sums>();
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(kFullWarp, value, distance);
    if (threadIdx.x % 32 == 0) s.warp[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
    if (threadIdx.x == 0)
        for (int w = 0; w < kThreads / 32; w++) value += s.warp[w];
    return value;
}

// sums [blocks]: one of each chunk
__global__ void dot_kernel(int64_t n, const float* x, const float* y, double* sums) {
    const Span s = span(n);
    double sum = 0;
    for (int64_t i = s.first; i < s.last; i += kThreads) sum += double(x[i]) * double(y[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void sum_kernel(int64_t n, const double* x, double* sum) {
    double value = 0;
    for (int64_t i = threadIdx.x; i < n; i += kThreads) value += x[i];
    value = block_sum(value);
    if (threadIdx.x == 0) *sum = value;
}

}  // namespace

void fill(Threads&, int64_t n, float value, float* x) {
    LQF_LAUNCH(fill_kernel, chunks_of(n), dim3(kThreads), 0, stream(), n, value, x);
}

void copy(Threads&, int64_t n, const float* x, float* y) {
    CUDA_CHECK(cudaMemcpyAsync(y, x, size_t(n) * sizeof(float), cudaMemcpyDeviceToDevice, stream()));
}

void scale(Threads&, int64_t n, float a, float* x) {
    LQF_LAUNCH(scale_kernel, chunks_of(n), dim3(kThreads), 0, stream(), n, a, x);
}

void axpy(Threads&, int64_t n, float a, const float* x, float* y) {
    LQF_LAUNCH(axpy_kernel, chunks_of(n), dim3(kThreads), 0, stream(), n, a, x, y);
}

double dot(Threads&, int64_t n, const float* x, const float* y) {
    const dim3 chunks = chunks_of(n);
    Scratch sums((size_t(chunks.x) + 1) * sizeof(double));
    double *parts = sums.at<double>(sizeof(double)), *total = sums.at<double>(0);
    LQF_LAUNCH(dot_kernel, chunks, dim3(kThreads), sizeof(Sums), stream(), n, x, y, parts);
    LQF_LAUNCH(sum_kernel, dim3(1), dim3(kThreads), sizeof(Sums), stream(), int64_t(chunks.x), parts, total);
    double result;
    copy_out(&result, total, sizeof result);
    return result;
}

}  // namespace lqf::gpu
