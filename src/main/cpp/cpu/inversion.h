// The inverse of a matrix by its Cholesky factor: (a / divisor - c c^T + shift I)^-1 = V V^T, V = L^-T.
#ifndef LQF_CPU_INVERSION_H
#define LQF_CPU_INVERSION_H

#include <algorithm>
#include <vector>

#include "cpu_ops.h"
#include "panels.h"
#include "threads.h"

namespace lqf::cpu {

// Factor and Inverse are Panels or BytePanels, L below the diagonal, and the same L with V on and above it; they may be one. All three steps are
// products of rows with rows, n^3 / 3 operations each. The order of every sum follows from the side alone, so the bits do not depend on threads.
template <class Factor, class Inverse>
class Inversion {
public:
    static constexpr int64_t kTile = Factor::kTile;
    static constexpr int64_t kLeastTiles = 6;  // for each thread, so that two rows at once still share out evenly
    static_assert(kTile == Inverse::kTile);

    // c [m.side]
    Inversion(Threads& threads, const SpdInverse& m, const double* c, Factor& factor, Inverse& inverse)
        : threads_(threads),
          m_(m),
          c_(c),
          scale_(1 / m.divisor),
          factor_(factor),
          inverse_(inverse),
          rows_(tiles() < kLeastTiles * threads.count() ? 1 : 2) {}

    // 0, or the pivot that was not positive and finite, from 1. thread: that which calls.
    int64_t run(int thread) {
        factor(0, thread);
        for (int64_t k = 0; k < tiles() && pivot_ == 0; ++k)
            threads_.each(ceil_div(tiles() - k - 1, rows_), [&](int64_t task, int thread) {
                solve(rows_from(k + 1 + task * rows_), k, thread);
                if (task == 0) factor(k + 1, thread);  // while others solve
            });
        if (pivot_ != 0) return pivot_;
        const int64_t groups = ceil_div(tiles(), rows_);
        threads_.each(groups, [&](int64_t task, int thread) { invert_rows(rows_from(task * rows_), thread); });
        threads_.each(groups * (groups + 1) / 2, [&](int64_t task, int thread) {
            int64_t i = 0;
            while ((i + 1) * (i + 2) / 2 <= task)
                ++i;  // row of the lower triangle: the first ones have the longest sums
            multiply(rows_from(i * rows_), rows_from((task - i * (i + 1) / 2) * rows_), thread);
        });
        return 0;
    }

private:
    using F = typename Factor::Number;
    using T = typename Inverse::Number;

    int64_t tiles() const { return factor_.tiles(); }
    int64_t size(int64_t tile) const { return factor_.size(tile); }
    static Range tile(int64_t i) { return {int(i), int(i) + 1}; }
    static constexpr auto kAll = [](int64_t, int64_t, int64_t) { return true; };

    Range rows_from(int64_t first) const { return {int(first), int(std::min(first + rows_, tiles()))}; }

    // A task's sums, a tile in panels each.
    template <class S>
    struct Sums {
        S* data;
        Range rows, columns;
        S* of(int64_t i, int64_t j) const {
            return data + ((i - rows.first) * columns.size() + j - columns.first) * kTile * kTile;
        }
    };
    template <class S>
    Sums<S> sums(int thread, Range rows, Range columns) const {
        const size_t floats = size_t(rows.size() * columns.size() * kTile * kTile) * sizeof(S) / sizeof(float);
        return {reinterpret_cast<S*>(threads_.scratch(thread, floats)), rows, columns};
    }
    Sums<T> zeros(int thread, Range rows, Range columns) const {
        const Sums<T> zeros = sums<T>(thread, rows, columns);
        std::fill_n(zeros.data, rows.size() * columns.size() * kTile * kTile, T(0));
        return zeros;
    }

    // sums(i, j) += tile (i, k) tile (j, k)^T for some k, where that is wanted: one k after the other, so that tiles are taken from the second-level
    // cache.
    template <class Tiles, class S, class Wanted>
    static void add_products(const Tiles& tiles, int64_t first, int64_t last, const Sums<S>& sums, Wanted wanted) {
        TileProduct<S> ready{};
        for (int64_t k = first; k < last; ++k)
            for (int64_t i = sums.rows.first; i < sums.rows.last; ++i)
                for (int64_t j = sums.columns.first; j < sums.columns.last; ++j) {
                    if (!wanted(i, j, k)) continue;
                    const TileProduct<S> next{i, j, k, sums.of(i, j)};
                    if (ready.sum) tiles.add_product(ready, next);
                    ready = next;
                }
        if (ready.sum) tiles.add_product(ready, ready);
    }

    // Minus tile (i, k) of the matrix, which goes on as the identity.
    void set_minus_matrix(int64_t i, int64_t k, F* sums) const {
        constexpr int64_t kRows = Factor::kRows;
        for (int64_t column = 0; column < size(k); ++column) {
            const int64_t at = k * kTile + column, inside = at < m_.side ? m_.side - i * kTile : 0;
            const double *a = m_.a + at * m_.side + i * kTile, *c = c_ + i * kTile;  // its row is as good as its column
            F* sum = sums + column * kRows;
            if (at + kAhead < m_.side)
                for (int64_t row = 0; row < size(i); row += 8) __builtin_prefetch(a + kAhead * m_.side + row, 0, 2);
            for (int64_t row = 0; row < size(i); row += kRows, sum += size(k) * kRows) {
                const int64_t count = std::clamp<int64_t>(inside - row, 0, kRows);
                if (count > 0) minus_row(count, scale_, a + row, c_[at], c + row, sum);
                std::fill(sum + count, sum + kRows, F(0));
            }
            if (i == k)
                sums[(column / kRows * size(k) + column) * kRows + column % kRows] =
                    column < inside ? F(c_[at] * c[column] - scale_ * a[column] - m_.shift) : F(-1);
        }
    }

    // L_kk; what the other tiles need of it is its inverse.
    void factor(int64_t k, int thread) {
        constexpr int64_t kRows = Factor::kRows;
        const int64_t size = this->size(k);
        const Sums<F> sums = this->sums<F>(thread, tile(k), tile(k));
        const F* sum = sums.data;
        set_minus_matrix(k, k, sums.data);
        add_products(factor_, 0, k, sums, kAll);
        std::vector<F> both(size_t(2 * size * size));
        F *upper = both.data(), *inverse = upper + size * size;
        for (int64_t row = 0; row < size; row += kRows)
            for (int64_t column = 0; column < std::min(row + kRows, size); ++column)
                for (int64_t lane = 0; lane < std::min(kRows, size - row); ++lane)
                    upper[column * size + row + lane] = -sum[row * size + column * kRows + lane];
        if (const int info = invert_triangle(int(size), upper, inverse)) {
            pivot_ = k * kTile + info;
            return;
        }
        factor_.set_triangle(k, inverse);
        if (!same_) inverse_.set_triangle(k, inverse);
    }

    // L_ik = (A_ik - sum over j < k of L_ij L_kj^T) L_kk^-T
    void solve(Range rows, int64_t k, int thread) {
        const Sums<F> sums = this->sums<F>(thread, rows, tile(k));
        for (int64_t i = rows.first; i < rows.last; ++i) set_minus_matrix(i, k, sums.of(i, k));
        add_products(factor_, 0, k, sums, kAll);
        for (int64_t i = rows.first; i < rows.last; ++i) {
            const auto solved = factor_.set_product(i, k, sums.of(i, k));
            if (!same_) inverse_.set(i, k, solved);
        }
    }

    // V_ji = -(sum over j <= k < i of V_jk L_ik^T) L_ii^-T
    void invert_rows(Range rows, int thread) {
        for (int64_t i = rows.first + 1; i < tiles(); ++i) {
            const Sums<T> sums = zeros(thread, rows, tile(i));
            add_products(inverse_, rows.first, i, sums, [](int64_t j, int64_t, int64_t k) { return j <= k; });
            for (int64_t j = rows.first; j < std::min<int64_t>(rows.last, i); ++j)
                inverse_.set_product(j, i, sums.of(j, i));
        }
    }

    // Tiles (i, j) of the result and their mirror images: sum over k >= i of V_ik V_jk^T
    void multiply(Range rows, Range columns, int thread) const {
        const Sums<T> sums = zeros(thread, rows, columns);
        add_products(inverse_, rows.first, tiles(), sums,
                     [](int64_t i, int64_t j, int64_t k) { return j <= i && i <= k; });
        for (int64_t i = rows.first; i < rows.last; ++i)
            for (int64_t j = columns.first; j < std::min<int64_t>(columns.last, i + 1); ++j) write(i, j, sums.of(i, j));
    }

    // 16 rows of the tile at a time.
    void write(int64_t i, int64_t j, const T* sum) const {
        constexpr int64_t kRows = Inverse::kRows, kPart = 8;
        static_assert(kRows % kPart == 0);
        alignas(64) float lines[kTile * kBlock];  // [column][16]
        const int64_t rows = std::min(size(i), m_.side - i * kTile), columns = std::min(size(j), m_.side - j * kTile);
        for (int64_t row = 0; row < rows; row += kBlock) {
            const int64_t count = std::min<int64_t>(kBlock, rows - row), stride = m_.side;
            for (int64_t part = 0; part < kBlock; part += kPart) {
                const T* from = sum + (row + part) / kRows * size(j) * kRows + (row + part) % kRows;
                for (int64_t column = 0; column < columns; ++column)
                    for (int64_t lane = 0; lane < kPart; ++lane)
                        lines[column * kBlock + part + lane] = float(from[column * kRows + lane]);
            }
            float* out = m_.out + (i * kTile + row) * stride + j * kTile;
            float* mirrored = m_.out + j * kTile * stride + i * kTile + row;
            if (i == j) {
                for (int64_t lane = 0; lane < count; ++lane)
                    for (int64_t column = 0; column <= row + lane; ++column)
                        out[lane * stride + column] = mirrored[column * stride + lane] = lines[column * kBlock + lane];
                continue;
            }
            for (int64_t next = row + kBlock; next < std::min(row + 2 * kBlock, rows); ++next)
                fetch(out + (next - row) * stride, columns);
            kernels().from_lanes(lines, int(count), int(columns), 1, 1, out, stride);
            for (int64_t column = 0; column < columns; ++column) {
                if (column + kAhead < columns) fetch(mirrored + (column + kAhead) * stride, count);
                std::copy_n(lines + column * kBlock, count, mirrored + column * stride);
            }
        }
    }

    // For writing: rows of a large matrix are too far apart for the processor to expect the next one.
    static constexpr int64_t kAhead = 4;
    static void fetch(const float* row, int64_t count) {
        for (int64_t at = 0; at < count; at += 16) __builtin_prefetch(row + at, 1, 2);
    }

    Threads& threads_;
    const SpdInverse& m_;
    const double* c_;
    const double scale_;
    Factor& factor_;
    Inverse& inverse_;
    const int64_t rows_;  // of tiles in a task, and columns of a product's: two share what they multiply with
    const bool same_ = static_cast<const void*>(&factor_) == static_cast<const void*>(&inverse_);
    int64_t pivot_ = 0;
};

}  // namespace lqf::cpu
#endif
