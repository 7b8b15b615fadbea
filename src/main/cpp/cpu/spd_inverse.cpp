#include <lapacke.h>

#include <vector>

#include "cpu_ops.h"

namespace lqf::cpu {

// In double throughout: factors are often nearly singular, and float would lose what the shift is there to keep.
int64_t spd_inverse(int64_t side, const double* a, double divisor, double shift, float* out) {
    std::vector<double> work(size_t(side * side));
    for (int64_t k = 0; k < side * side; ++k) work[k] = a[k] / divisor;
    for (int64_t k = 0; k < side; ++k) work[k * side + k] += shift;
    int info = potrf(int(side), work.data(), int(side));
    if (info == 0) info = LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', int(side), work.data(), int(side));
    if (info != 0) return info;
    for (int64_t i = 0; i < side; ++i)  // column-major upper is row-major lower
        for (int64_t j = 0; j <= i; ++j) out[i * side + j] = out[j * side + i] = float(work[i * side + j]);
    return 0;
}

}  // namespace lqf::cpu
