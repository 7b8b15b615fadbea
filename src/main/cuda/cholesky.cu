// cholesky, cholesky_solve, cholesky_inverse. Version 1: one thread.
#include "backend.h"
#include "cholesky.cuh"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void cholesky_kernel(int64_t side, double* a, int64_t* pivot) { *pivot = factor(side, a); }

__global__ void cholesky_solve_kernel(int64_t side, const double* l, int64_t columns, double* x) {
    solve(side, l, columns, x);
}

// work [side, side] becomes the inverse, then l is overwritten by it
__global__ void cholesky_inverse_kernel(int64_t side, double* l, double* work) {
    for (int64_t i = 0; i < side * side; i++) work[i] = i / side == i % side;
    solve(side, l, side, work);
    for (int64_t i = 0; i < side; i++)
        for (int64_t j = 0; j <= i; j++) l[i * side + j] = l[j * side + i] = work[i * side + j];
}

}  // namespace

int64_t cholesky(Threads&, int64_t side, double* a) {
    Scratch pivot(sizeof(int64_t));
    LQF_LAUNCH(cholesky_kernel, dim3(1), dim3(1), 0, stream(), side, a, pivot.at<int64_t>(0));
    int64_t result;
    copy_out(&result, pivot.at<int64_t>(0), sizeof result);
    return result;
}

void cholesky_solve(Threads&, int64_t side, const double* l, int64_t columns, double* x) {
    const size_t bytes = size_t(side * columns) * sizeof(double);
    Scratch device(bytes);
    copy_in(device.at<double>(0), x, bytes);
    LQF_LAUNCH(cholesky_solve_kernel, dim3(1), dim3(1), 0, stream(), side, l, columns, device.at<double>(0));
    copy_out(x, device.at<double>(0), bytes);
}

void cholesky_inverse(Threads&, int64_t side, double* l) {
    Scratch work(size_t(side * side) * sizeof(double));
    LQF_LAUNCH(cholesky_inverse_kernel, dim3(1), dim3(1), 0, stream(), side, l, work.at<double>(0));
    synchronise();
}

}  // namespace lqf::gpu
