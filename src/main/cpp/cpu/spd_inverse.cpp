#include <lapacke.h>

#include <vector>

#include "cpu_ops.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// In double throughout: factors are often nearly singular, and float would lose what the shift is there to keep.
int64_t invert(const SpdInverse& m) {
    const int64_t side = m.side;
    std::vector<double> work(size_t(side * side));
    for (int64_t k = 0; k < side * side; ++k) work[k] = m.a[k] / m.divisor;
    for (int64_t k = 0; k < side; ++k) work[k * side + k] += m.shift;
    int info = potrf(int(side), work.data(), int(side));
    if (info == 0) info = LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', int(side), work.data(), int(side));
    if (info != 0) return info;
    for (int64_t i = 0; i < side; ++i)  // column-major upper is row-major lower
        for (int64_t j = 0; j <= i; ++j) m.out[i * side + j] = m.out[j * side + i] = float(work[i * side + j]);
    return 0;
}

}  // namespace

void spd_inverse(Threads& threads, int count, const SpdInverse* matrices, int64_t* pivots) {
    threads.each(count, [&](int64_t k, int) { pivots[k] = invert(matrices[k]); });
}

}  // namespace lqf::cpu
