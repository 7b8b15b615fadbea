#include <lapacke.h>

#include <algorithm>
#include <vector>

#include "cpu_ops.h"

namespace lqf::cpu {

// Divide and conquer. Column-major eigenvectors in columns are row-major eigenvectors in rows.
int64_t eigen(Threads&, int64_t side, double* a, double* values) {
    return LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', int(side), a, int(side), values);
}

int64_t symmetric_eigen(int64_t side, const double* a, double divisor, float* vectors, double* values) {
    std::vector<double> work(size_t(side * side));
    for (int64_t k = 0; k < side * side; ++k) work[k] = a[k] / divisor;
    const int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', int(side), work.data(), int(side), values);
    if (info == 0) std::copy(work.begin(), work.end(), vectors);
    return info;
}

}  // namespace lqf::cpu
