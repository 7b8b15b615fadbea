// Cholesky factor, inverse and solution by one thread: version 1, for tests.
#ifndef LQF_GPU_CHOLESKY_CUH
#define LQF_GPU_CHOLESKY_CUH

#include "gpu.cuh"

namespace lqf::gpu {

// a = L L^T in the lower triangle; 0, or the 1-based pivot that was not positive.
__device__ inline int64_t factor(int64_t side, double* a) {
    for (int64_t j = 0; j < side; j++) {
        double pivot = a[j * side + j];
        for (int64_t k = 0; k < j; k++) pivot -= a[j * side + k] * a[j * side + k];
        if (!(pivot > 0)) return j + 1;
        a[j * side + j] = sqrt(pivot);
        for (int64_t i = j + 1; i < side; i++) {
            double sum = a[i * side + j];
            for (int64_t k = 0; k < j; k++) sum -= a[i * side + k] * a[j * side + k];
            a[i * side + j] = sum / a[j * side + j];
        }
    }
    return 0;
}

// x [side, columns] = (L L^T)^-1 x
__device__ inline void solve(int64_t side, const double* l, int64_t columns, double* x) {
    for (int64_t c = 0; c < columns; c++) {
        for (int64_t i = 0; i < side; i++) {
            for (int64_t k = 0; k < i; k++) x[i * columns + c] -= l[i * side + k] * x[k * columns + c];
            x[i * columns + c] /= l[i * side + i];
        }
        for (int64_t i = side - 1; i >= 0; i--) {
            for (int64_t k = i + 1; k < side; k++) x[i * columns + c] -= l[k * side + i] * x[k * columns + c];
            x[i * columns + c] /= l[i * side + i];
        }
    }
}

}  // namespace lqf::gpu
#endif
