// eigen, symmetric_eigen: rows become eigenvectors, values ascending. Version 1: one thread.
#include "backend.h"
#include "jacobi.cuh"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void divide_kernel(int64_t count, const double* a, double divisor, double* out) {
    const int64_t i = global_thread();
    if (i < count) out[i] = a[i] / divisor;
}

// values, order [side]; v, a [side, side]
__global__ void jacobi_kernel(int64_t side, double* a, double* v, int64_t* order, double* values, int64_t* info) {
    *info = jacobi(side, a, v, order);
    if (*info) return;
    for (int64_t i = 0; i < side; i++) values[i] = a[order[i] * side + order[i]];
}

template <typename T>
__global__ void rows_kernel(int64_t side, const double* v, const int64_t* order, T* out) {
    const int64_t i = global_thread();
    if (i < side * side) out[i] = T(v[order[i / side] * side + i % side]);
}

// values: host
template <typename T>
int64_t decompose(int64_t side, const double* a, double divisor, T* vectors, double* values) {
    const size_t matrix = padded(size_t(side * side) * sizeof(double)), list = padded(size_t(side) * sizeof(double));
    Scratch scratch(2 * matrix + 2 * list + sizeof(int64_t));
    auto *work = scratch.at<double>(0), *v = scratch.at<double>(matrix), *sorted = scratch.at<double>(2 * matrix);
    auto *order = scratch.at<int64_t>(2 * matrix + list), *status = scratch.at<int64_t>(2 * matrix + 2 * list);
    LQF_LAUNCH(divide_kernel, grid_of(side * side), dim3(kThreads), 0, stream(), side * side, a, divisor, work);
    LQF_LAUNCH(jacobi_kernel, dim3(1), dim3(1), 0, stream(), side, work, v, order, sorted, status);
    int64_t info;
    copy_out(&info, status, sizeof info);
    if (info) return info;
    LQF_LAUNCH((rows_kernel<T>), grid_of(side * side), dim3(kThreads), 0, stream(), side, v, order, vectors);
    copy_out(values, sorted, size_t(side) * sizeof(double));
    return 0;
}

}  // namespace

int64_t symmetric_eigen(int64_t side, const double* a, double divisor, float* vectors, double* values) {
    return decompose(side, a, divisor, vectors, values);
}

int64_t eigen(Threads&, int64_t side, double* a, double* values) { return decompose(side, a, 1.0, a, values); }

}  // namespace lqf::gpu
