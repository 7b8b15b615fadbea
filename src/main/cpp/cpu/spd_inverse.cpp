// Inverses of Kronecker factors: what each is inverted in.
#include <algorithm>
#include <cmath>
#include <vector>

#include "byte_panels.h"
#include "cpu_ops.h"
#include "inversion.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// Float does twice as much in a second. A factor in float has moved every eigenvalue by about float's rounding, 2^-24, of the largest one; a
// factor in double that is inverted in float moves the inverse by 2^-24 of its condition, which is the square root of the matrix's. Kronecker
// factors are often nearly singular, and what the shift is there to keep must not get lost: float where the largest eigenvalue is at most
// 2^12 times the shift, float from the factor on where it is at most 2^18 times. The inverse is then good to 2^-12 and 2^-15 of its largest
// eigenvalue at worst. Small matrices cost little either way.
// With a matrix unit a factor is in fixed point of 4, 5 or 6 bytes, which moves eigenvalues by 2^-32, 2^-40 or 2^-48 of the largest one, and its
// inverse in 4 or, beyond 2^18, 5.
constexpr double kMostConditionOfFloat = 0x1p12, kMostConditionOfFloatInverse = 0x1p18, kMostConditionOfBytes = 0x1p20;
constexpr int64_t kLeastFloatSide = 512, kLeastBytesSide = 1024;
constexpr int64_t kLeastSharedSide = 1024;  // larger ones are shared out among the threads, one after the other

// At least the largest eigenvalue over the shift: by sums of rows, since the shift is the least eigenvalue of factors that are nearly singular.
double condition(Threads& threads, const SpdInverse& m) {
    std::vector<double> sums(size_t(m.side), 0.0);
    threads.each(m.side, [&](int64_t i, int) {
        constexpr int64_t kChains = 8;
        double chains[kChains] = {};
        const double* row = m.a + i * m.side;
        int64_t j = 0;
        for (; j + kChains <= m.side; j += kChains)
            for (int64_t c = 0; c < kChains; ++c) chains[c] += std::abs(row[j + c]);
        for (; j < m.side; ++j) chains[0] += std::abs(row[j]);
        for (double chain : chains) sums[size_t(i)] += chain;
    });
    double largest = 0;
    for (double sum : sums) {
        if (!std::isfinite(sum)) return INFINITY;
        largest = std::max(largest, sum);
    }
    return largest / m.divisor / m.shift;
}

// In fixed point, by the matrix unit.
int64_t invert_in_bytes(Threads& threads, const SpdInverse& m, double condition, Arena& arena, int thread) {
    const int64_t side = ceil_div(m.side, kBlock) * kBlock;
    BytePanels<double> factor(arena, side,
                              condition <= kMostConditionOfFloat          ? 4
                              : condition <= kMostConditionOfFloatInverse ? 5
                                                                          : 6);
    if (condition <= kMostConditionOfFloatInverse) {
        BytePanels<float> inverse(arena, 4, factor);
        return Inversion(threads, m, factor, inverse).run(thread);
    }
    BytePanels<double> inverse(arena, 5, factor);
    return Inversion(threads, m, factor, inverse).run(thread);
}

int64_t invert(Threads& threads, const SpdInverse& m, Arena& arena, int thread) {
    const double condition = m.side < kLeastFloatSide ? INFINITY : cpu::condition(threads, m);
    auto whole_panels = [&](int64_t rows) { return ceil_div(m.side, rows) * rows; };
    arena.clear();
    if (kernels().multiply_bytes && m.side >= kLeastBytesSide && condition <= kMostConditionOfBytes) {
        if (invert_in_bytes(threads, m, condition, arena, thread) == 0) return 0;
        arena.clear();
    }
    constexpr int64_t kRows = Panels<float>::kRows, kDoubleRows = Panels<double>::kRows;
    if (condition <= kMostConditionOfFloat) {
        Panels<float> both(arena, whole_panels(kRows));
        if (Inversion(threads, m, both, both).run(thread) == 0) return 0;
        arena.clear();
    }
    Panels<double> factor(arena, whole_panels(condition <= kMostConditionOfFloatInverse ? kRows : kDoubleRows));
    if (condition > kMostConditionOfFloatInverse) return Inversion(threads, m, factor, factor).run(thread);
    Panels<float> inverse(arena, whole_panels(kRows));
    return Inversion(threads, m, factor, inverse).run(thread);
}

}  // namespace

void spd_inverse(Threads& threads, int count, const SpdInverse* matrices, int64_t* pivots) {
    std::vector<int> small;
    std::vector<Arena> arenas(size_t(threads.count()));
    for (int k = 0; k < count; ++k) {
        if (matrices[k].side < kLeastSharedSide)
            small.push_back(k);
        else
            pivots[k] = invert(threads, matrices[k], arenas[0], 0);
    }
    threads.each(int64_t(small.size()), [&](int64_t task, int thread) {
        const int k = small[size_t(task)];
        pivots[k] = invert(threads, matrices[k], arenas[size_t(thread)], thread);
    });
}

}  // namespace lqf::cpu
