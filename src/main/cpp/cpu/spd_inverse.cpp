// (a / divisor + shift I)^-1 = V V^T, V = L^-T, L its Cholesky factor: three steps of products of rows with rows, n^3 / 3 operations each. The
// order of every sum follows from the side alone, so the bits do not depend on threads.
#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "cpu_ops.h"
#include "panels.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// Float does twice as much in a second. A factor in float has moved every eigenvalue by about float's rounding, 2^-24, of the largest one; a
// factor in double that is inverted in float moves the inverse by 2^-24 of its condition, which is the square root of the matrix's. Kronecker
// factors are often nearly singular, and what the shift is there to keep must not get lost: float where the largest eigenvalue is at most
// 2^12 times the shift, float from the factor on where it is at most 2^18 times. The inverse is then good to 2^-12 and 2^-15 of its largest
// eigenvalue at worst. Small matrices cost little either way.
constexpr double kMostConditionOfFloat = 4096, kMostConditionOfFloatInverse = 262144;
constexpr int64_t kLeastFloatSide = 512;
constexpr int64_t kLeastSharedSide = 1024;  // larger ones are shared out among the threads, one after the other

// At least the largest eigenvalue over the shift: by sums of rows, since the shift is the least eigenvalue of factors that are nearly singular.
double condition(Threads& threads, const SpdInverse& m) {
    std::vector<double> sums(size_t(m.side), 0.0);
    threads.each(m.side, [&](int64_t i, int) {
        for (int64_t j = 0; j < m.side; ++j) sums[size_t(i)] += std::abs(m.a[i * m.side + j]);
    });
    double largest = 0;
    for (double sum : sums) {
        if (!std::isfinite(sum)) return INFINITY;
        largest = std::max(largest, sum);
    }
    return largest / m.divisor / m.shift;
}

int inverse_of_triangle(int side, float* l) { return LAPACKE_strtri_work(LAPACK_COL_MAJOR, 'U', 'N', side, l, side); }
int inverse_of_triangle(int side, double* l) { return LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, 'U', 'N', side, l, side); }

// Factors in F, inverts the factor in T.
template <class F, class T>
class Inversion {
public:
    Inversion(Threads& threads, const SpdInverse& m)
        : threads_(threads),
          m_(m),
          scale_(1 / m.divisor),
          factor_(whole_panels(m.side)),
          inverse_(whole_panels(m.side)),
          factor_triangles_(size_t(tiles() * kTile * kTile)),
          inverse_triangles_(size_t(tiles() * kTile * kTile)) {}

    // 0, or the pivot that was not positive and finite, from 1. thread: that which calls.
    int64_t run(int thread) {
        factor(0, thread);
        for (int64_t k = 0; k < tiles() && pivot_ == 0; ++k)
            threads_.each(tiles() - k - 1, [&](int64_t task, int thread) {
                solve(k + 1 + task, k, thread);
                if (task == 0) factor(k + 1, thread);  // while others solve
            });
        if (pivot_ != 0) return pivot_;
        threads_.each(tiles(), [&](int64_t j, int thread) { invert_row(j, thread); });
        threads_.each(tiles() * (tiles() + 1) / 2, [&](int64_t task, int thread) {
            int64_t i = 0;
            while ((i + 1) * (i + 2) / 2 <= task)
                ++i;  // row of the lower triangle: the first ones have the longest sums
            multiply(i, task - i * (i + 1) / 2, thread);
        });
        return 0;
    }

private:
    static int64_t whole_panels(int64_t side) {
        constexpr int64_t kRows = std::max(Panels<F>::kRows, Panels<T>::kRows);
        return ceil_div(side, kRows) * kRows;
    }
    int64_t tiles() const { return factor_.tiles(); }
    int64_t size(int64_t tile) const { return factor_.size(tile); }

    template <class S>
    S* sums(int thread) const {  // of a tile, in panels
        return reinterpret_cast<S*>(threads_.scratch(thread, size_t(kTile * kTile) * sizeof(S) / sizeof(float)));
    }
    T* zeros(int thread) const {
        std::fill_n(sums<T>(thread), kTile * kTile, T(0));
        return sums<T>(thread);
    }

    // Minus tile (i, k) of the matrix, which goes on as the identity.
    F* minus_matrix(int64_t i, int64_t k, int thread) const {
        constexpr int64_t kRows = Panels<F>::kRows;
        F* sum = sums<F>(thread);
        for (int64_t row = i * kTile; row < i * kTile + size(i); row += kRows)
            for (int64_t column = k * kTile; column < k * kTile + size(k); ++column, sum += kRows) {
                const int64_t rows = column < m_.side ? std::clamp<int64_t>(m_.side - row, 0, kRows) : 0;
                const double* a = m_.a + column * m_.side + row;
                for (int64_t lane = 0; lane < rows; ++lane) sum[lane] = F(-scale_ * a[lane]);
                std::fill(sum + rows, sum + kRows, F(0));
                if (column >= row && column < row + kRows)
                    sum[column - row] = column < m_.side ? F(-scale_ * a[column - row] - m_.shift) : F(-1);
            }
        return sums<F>(thread);
    }

    // L_kk; what the other tiles need of it is its inverse, negated.
    void factor(int64_t k, int thread) {
        const int64_t size = this->size(k), first = k * kTile;
        F* sum = minus_matrix(k, k, thread);
        factor_.add_products(k, k, 0, k, sum);
        auto in_panels = [size](auto* tile, int64_t row, int64_t column) -> auto& {
            constexpr int64_t kRows = kPanelRows<std::remove_pointer_t<decltype(tile)>>;
            return tile[(row / kRows * size + column) * kRows + row % kRows];
        };
        std::vector<F> l(size_t(size * size), F(0));
        for (int64_t row = 0; row < size; ++row)
            for (int64_t column = 0; column <= row; ++column)
                l[size_t(row * size + column)] = -in_panels(sum, row, column);
        if (const int info = potrf(int(size), l.data(), int(size))) {
            pivot_ = first + info;
            return;
        }
        inverse_of_triangle(int(size), l.data());
        for (int64_t row = 0; row < size; ++row)
            for (int64_t column = 0; column < size; ++column) {
                const F entry = l[size_t(row * size + column)];
                in_panels(factor_triangle(k), row, column) = -entry;
                in_panels(inverse_triangle(k), row, column) = -T(entry);
                inverse_.entry(first + column, first + row) = T(entry);
            }
    }
    F* factor_triangle(int64_t k) { return factor_triangles_.data() + k * kTile * kTile; }
    T* inverse_triangle(int64_t k) { return inverse_triangles_.data() + k * kTile * kTile; }

    // L_ik = (A_ik - sum over j < k of L_ij L_kj^T) L_kk^-T
    void solve(int64_t i, int64_t k, int thread) {
        F* sum = minus_matrix(i, k, thread);
        factor_.add_products(i, k, 0, k, sum);
        factor_.set_product(i, k, sum, factor_triangle(k));
        constexpr int64_t kRows = std::min(Panels<F>::kRows, Panels<T>::kRows);
        for (int64_t row = i * kTile; row < i * kTile + size(i); row += kRows)
            for (int64_t column = k * kTile; column < k * kTile + size(k); ++column)
                std::copy_n(&factor_.entry(row, column), kRows, &inverse_.entry(row, column));
    }

    // V_ji = -(sum over j <= k < i of V_jk L_ik^T) L_ii^-T
    void invert_row(int64_t j, int thread) {
        for (int64_t i = j + 1; i < tiles(); ++i) {
            T* sum = zeros(thread);
            inverse_.add_products(j, i, j, i, sum);
            inverse_.set_product(j, i, sum, inverse_triangle(i));
        }
    }

    // Tile (i, j) of the result and its mirror image: sum over k >= i of V_ik V_jk^T
    void multiply(int64_t i, int64_t j, int thread) const {
        constexpr int64_t kRows = Panels<T>::kRows;
        T* sum = zeros(thread);
        inverse_.add_products(i, j, i, tiles(), sum);
        const int64_t rows = std::min(size(i), m_.side - i * kTile), columns = std::min(size(j), m_.side - j * kTile);
        for (int64_t row = 0; row < rows; ++row) {
            const T* from = sum + row / kRows * size(j) * kRows + row % kRows;
            float* to = m_.out + (i * kTile + row) * m_.side + j * kTile;
            for (int64_t column = 0; column < (i == j ? row + 1 : columns); ++column)
                to[column] = float(from[column * kRows]);
        }
        for (int64_t column = 0; column < columns; ++column) {
            float* to = m_.out + (j * kTile + column) * m_.side + i * kTile;
            for (int64_t row = i == j ? column : 0; row < rows; ++row)
                to[row] = float(sum[(row / kRows * size(j) + column) * kRows + row % kRows]);
        }
    }

    Threads& threads_;
    const SpdInverse& m_;
    const double scale_;
    const Panels<F> factor_;   // L below the diagonal
    const Panels<T> inverse_;  // the same L, V on and above it
    std::vector<F> factor_triangles_;
    std::vector<T> inverse_triangles_;  // -L_kk^-1 in panels
    int64_t pivot_ = 0;
};

int64_t invert(Threads& threads, const SpdInverse& m, int thread) {
    const double condition = m.side < kLeastFloatSide ? INFINITY : cpu::condition(threads, m);
    if (condition <= kMostConditionOfFloat && Inversion<float, float>(threads, m).run(thread) == 0) return 0;
    if (condition <= kMostConditionOfFloatInverse) return Inversion<double, float>(threads, m).run(thread);
    return Inversion<double, double>(threads, m).run(thread);
}

}  // namespace

void spd_inverse(Threads& threads, int count, const SpdInverse* matrices, int64_t* pivots) {
    std::vector<int> small;
    for (int k = 0; k < count; ++k) {
        if (matrices[k].side < kLeastSharedSide)
            small.push_back(k);
        else
            pivots[k] = invert(threads, matrices[k], 0);
    }
    threads.each(int64_t(small.size()), [&](int64_t task, int thread) {
        const int k = small[size_t(task)];
        pivots[k] = invert(threads, matrices[k], thread);
    });
}

}  // namespace lqf::cpu
