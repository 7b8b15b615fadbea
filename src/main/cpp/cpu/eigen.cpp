#include <lapacke.h>

#include <algorithm>
#include <vector>

#include "cpu_ops.h"
#include "threads.h"

namespace lqf::cpu {

// Divide and conquer. Column-major eigenvectors in columns are row-major eigenvectors in rows.
int64_t eigen(Threads&, int64_t side, double* a, double* values) {
    return LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', int(side), a, int(side), values);
}

void symmetric_eigen(Threads& threads, int count, const SymmetricEigen* matrices, int64_t* failures) {
    threads.each(count, [&](int64_t k, int) {
        const SymmetricEigen& m = matrices[k];
        std::vector<double> work(size_t(m.side * m.side));
        for (size_t i = 0; i < work.size(); ++i) work[i] = m.a[i] / m.divisor;
        failures[k] = eigen(threads, m.side, work.data(), m.values);
        if (failures[k] == 0) std::copy(work.begin(), work.end(), m.vectors);
    });
}

}  // namespace lqf::cpu
