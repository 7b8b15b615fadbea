// Inverses of Kronecker factors: what each is inverted in.
#include <algorithm>
#include <cmath>
#include <numeric>
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
// Activations have a mean, and the largest eigenvalue of their factor is along it, 8 to 60 times the next one in ResNet-18. With
// c = A 1 / (1^T A 1)^(1/2), A - c c^T is semidefinite where A is, has 1 in its null space and a condition as much smaller. Where that is at most
// 2^11, it is inverted in place of A, in float, and c c^T is added back, which takes an error at most 1 / cos^2 times as large, of the angle between
// c and 1: such an inverse is good to 2^-10 at worst. ResNet-18's are 2^-16.5 to 2^-19 from those in double, and 2^-17 to 2^-20 with a factor in
// double.
// With a matrix unit a factor is in fixed point of 4, 5 or 6 bytes, which moves eigenvalues by 2^-32, 2^-40 or 2^-48 of the largest one, and its
// inverse in 4 or, beyond 2^18, 5.
constexpr double kMostConditionOfFloat = 0x1p12, kMostConditionOfFloatInverse = 0x1p18, kMostConditionOfBytes = 0x1p20;
constexpr double kMostConditionOfRest = 0x1p11, kLeastCosine = 0.4;
constexpr int64_t kLeastFloatSide = 512, kLeastBytesSide = 1024;
constexpr int64_t kLeastSharedSide = 1024;  // larger ones are shared out among the threads, one after the other

// A / divisor - c c^T
struct Rest {
    const SpdInverse& m;
    const double* c;  // [side]
};

// At least the largest eigenvalue over the shift: by sums of rows, since the shift is the least eigenvalue of factors that are nearly singular.
// sums [side]: of the rows themselves.
double condition(Threads& threads, const Rest& b, double* sums) {
    const SpdInverse& m = b.m;
    std::vector<double> sizes(size_t(m.side));
    threads.each(m.side, [&](int64_t i, int) {
        double both[2];
        kernels().row_sums(m.side, 1 / m.divisor, m.a + i * m.side, b.c[i], b.c, both);
        sums[i] = both[0];
        sizes[size_t(i)] = both[1];
    });
    double largest = 0;
    for (double size : sizes) {
        if (!std::isfinite(size)) return INFINITY;
        largest = std::max(largest, size);
    }
    return largest / m.shift;
}

// In fixed point, by the matrix unit.
int64_t invert_in_bytes(Threads& threads, const Rest& b, double condition, Arena& arena, int thread) {
    const int64_t side = ceil_div(b.m.side, kBlock) * kBlock;
    BytePanels<double> factor(arena, side,
                              condition <= kMostConditionOfFloat          ? 4
                              : condition <= kMostConditionOfFloatInverse ? 5
                                                                          : 6);
    if (condition <= kMostConditionOfFloatInverse) {
        BytePanels<float> inverse(arena, 4, factor);
        return Inversion(threads, b.m, b.c, factor, inverse).run(thread);
    }
    BytePanels<double> inverse(arena, 5, factor);
    return Inversion(threads, b.m, b.c, factor, inverse).run(thread);
}

int64_t invert(Threads& threads, const Rest& b, double condition, Arena& arena, int thread) {
    const int64_t side = ceil_div(b.m.side, kBlock) * kBlock;
    arena.clear();
    if (kernels().multiply_bytes && b.m.side >= kLeastBytesSide && condition <= kMostConditionOfBytes) {
        if (invert_in_bytes(threads, b, condition, arena, thread) == 0) return 0;
        arena.clear();
    }
    if (condition <= kMostConditionOfFloat) {
        Panels<float> both(arena, side);
        if (Inversion(threads, b.m, b.c, both, both).run(thread) == 0) return 0;
        arena.clear();
    }
    Panels<double> factor(arena, side);
    if (condition > kMostConditionOfFloatInverse) return Inversion(threads, b.m, b.c, factor, factor).run(thread);
    Panels<float> inverse(arena, side);
    return Inversion(threads, b.m, b.c, factor, inverse).run(thread);
}

// out = (B + shift I)^-1 becomes (B + c c^T + shift I)^-1: out - z z^T / (1 + c^T z), z = out c (Sherman & Morrison 1950).
void add_back(Threads& threads, const Rest& b) {
    const SpdInverse& m = b.m;
    std::vector<double> z(size_t(m.side));
    threads.each(m.side, [&](int64_t i, int) { z[size_t(i)] = kernels().dot_double(m.side, m.out + i * m.side, b.c); });
    const double root = std::sqrt(1 + std::inner_product(z.begin(), z.end(), b.c, 0.0));
    for (double& entry : z) entry /= root;
    threads.each(
        m.side, [&](int64_t i, int) { kernels().subtract_double(m.side, z[size_t(i)], z.data(), m.out + i * m.side); });
}

int64_t invert(Threads& threads, const SpdInverse& m, Arena& arena, int thread) {
    std::vector<double> c(size_t(m.side), 0.0), sums(c);
    const Rest b{m, c.data()};
    const double condition = m.side < kLeastFloatSide ? INFINITY : cpu::condition(threads, b, sums.data());
    if (condition > kMostConditionOfFloat && condition <= kMostConditionOfFloatInverse) {
        const double sum = std::accumulate(sums.begin(), sums.end(), 0.0),
                     squares = std::inner_product(sums.begin(), sums.end(), sums.begin(), 0.0);
        if (sum > 0 && sum * sum >= kLeastCosine * kLeastCosine * double(m.side) * squares) {
            for (size_t i = 0; i < c.size(); ++i) c[i] = sums[i] / std::sqrt(sum);
            const double rest = cpu::condition(threads, b, sums.data());
            if (rest <= kMostConditionOfRest && invert(threads, b, rest, arena, thread) == 0) {
                add_back(threads, b);
                return 0;
            }
            std::fill(c.begin(), c.end(), 0.0);
        }
    }
    return invert(threads, b, condition, arena, thread);
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
