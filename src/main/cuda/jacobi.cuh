// Cyclic Jacobi (Golub & Van Loan, section 8.5) by one thread: version 1, for tests.
#ifndef LQF_GPU_JACOBI_CUH
#define LQF_GPU_JACOBI_CUH

#include "gpu.cuh"

namespace lqf::gpu {

__device__ inline void turn(double c, double s, double& x, double& y) {
    const double old = x;
    x = c * old - s * y;
    y = s * old + c * y;
}

// Rows of v become eigenvectors of a, a becomes diagonal, order [side] lists its rows by ascending value. 0, or 1 if it does not
// converge: a is not finite.
__device__ inline int64_t jacobi(int64_t side, double* a, double* v, int64_t* order) {
    for (int64_t i = 0; i < side * side; i++) v[i] = i / side == i % side;
    for (int sweep = 0;; sweep++) {
        double all = 0, off = 0;
        for (int64_t i = 0; i < side * side; i++) {
            all += a[i] * a[i];
            if (i / side != i % side) off += a[i] * a[i];
        }
        if (off <= 1e-30 * all) break;
        if (sweep == 60) return 1;
        for (int64_t p = 0; p < side; p++)
            for (int64_t q = p + 1; q < side; q++) {
                if (a[p * side + q] == 0) continue;
                const double theta = (a[q * side + q] - a[p * side + p]) / (2 * a[p * side + q]);
                const double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                const double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int64_t k = 0; k < side; k++) turn(c, s, a[p * side + k], a[q * side + k]);
                for (int64_t k = 0; k < side; k++) turn(c, s, a[k * side + p], a[k * side + q]);
                a[p * side + q] = a[q * side + p] = 0;
                for (int64_t k = 0; k < side; k++) turn(c, s, v[p * side + k], v[q * side + k]);
            }
    }
    for (int64_t i = 0; i < side; i++) {  // insertion sort
        int64_t at = i;
        for (; at > 0 && a[order[at - 1] * side + order[at - 1]] > a[i * side + i]; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    return 0;
}

}  // namespace lqf::gpu
#endif
