// spd_inverse: out = (a / divisor + shift I)^-1. Version 1: one thread.
#include "backend.h"
#include "cholesky.cuh"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

__global__ void spd_inverse_kernel(int64_t side, const double* a, double divisor, double shift, double* l,
                                   double* inverse, float* out, int64_t* pivot) {
    for (int64_t i = 0; i < side * side; i++) {
        const bool diagonal = i / side == i % side;
        l[i] = a[i] / divisor + (diagonal ? shift : 0);
        inverse[i] = diagonal;
    }
    *pivot = factor(side, l);
    if (*pivot) return;
    solve(side, l, side, inverse);
    for (int64_t i = 0; i < side; i++)
        for (int64_t j = 0; j <= i; j++) out[i * side + j] = out[j * side + i] = float(inverse[i * side + j]);
}

}  // namespace

int64_t spd_inverse(int64_t side, const double* a, double divisor, double shift, float* out) {
    const size_t matrix = padded(size_t(side * side) * sizeof(double));
    Scratch work(2 * matrix + sizeof(int64_t));
    LQF_LAUNCH(spd_inverse_kernel, dim3(1), dim3(1), 0, stream(), side, a, divisor, shift, work.at<double>(0),
               work.at<double>(matrix), out, work.at<int64_t>(2 * matrix));
    int64_t pivot;
    copy_out(&pivot, work.at<int64_t>(2 * matrix), sizeof pivot);
    return pivot;
}

}  // namespace lqf::gpu
