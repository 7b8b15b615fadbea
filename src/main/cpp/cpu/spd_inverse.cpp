#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// Float does twice as much in a second, but it moves every eigenvalue by about its rounding, 2^-24, of the largest one. Where the shift is no
// less than 2^-12 of that, this is 2^-12 of the shift at most: no more than the result's own rounding does to the largest ones. Factors are
// often nearly singular: below, float would lose what the shift is there to keep. Small matrices cost little either way.
constexpr double kMostCondition = 4096;
constexpr int64_t kLeastFloatSide = 512;

bool float_will_do(const SpdInverse& m) {
    if (m.side < kLeastFloatSide) return false;
    double largest = 0;  // row sum of magnitudes: no eigenvalue exceeds it
    for (int64_t i = 0; i < m.side; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < m.side; ++j) sum += std::abs(m.a[i * m.side + j]);
        largest = std::max(largest, sum);
        if (!(largest / m.divisor <= kMostCondition * m.shift)) return false;  // nor where it is not a number
    }
    return true;
}

int inverse_of_factor(int side, float* l) { return LAPACKE_spotri_work(LAPACK_COL_MAJOR, 'U', side, l, side); }
int inverse_of_factor(int side, double* l) { return LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', side, l, side); }

// The lower triangle of work becomes that of the inverse: row-major lower is column-major upper.
template <class T>
int64_t invert(const SpdInverse& m, T* work) {
    const int64_t side = m.side;
    for (int64_t i = 0; i < side; ++i) {
        for (int64_t j = 0; j < i; ++j) work[i * side + j] = T(m.a[i * side + j] / m.divisor);
        work[i * side + i] = T(m.a[i * side + i] / m.divisor + m.shift);
    }
    const int info = potrf(int(side), work, int(side));
    return info != 0 ? info : inverse_of_factor(int(side), work);
}

int64_t invert(const SpdInverse& m) {
    const int64_t side = m.side;
    if (!float_will_do(m) || invert(m, m.out) != 0) {
        std::vector<double> work(size_t(side * side));
        if (const int64_t pivot = invert(m, work.data())) return pivot;
        for (int64_t i = 0; i < side; ++i)
            for (int64_t j = 0; j <= i; ++j) m.out[i * side + j] = float(work[i * side + j]);
    }
    mirror_rows(side, 0, side, m.out);
    return 0;
}

}  // namespace

void spd_inverse(Threads& threads, int count, const SpdInverse* matrices, int64_t* pivots) {
    threads.each(count, [&](int64_t k, int) { pivots[k] = invert(matrices[k]); });
}

}  // namespace lqf::cpu
