// Cholesky in tiles, in double: every tile operation is one single-threaded BLAS call on fixed bounds, so the bits do not depend on threads.
#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int64_t kTile = 128;

// A square matrix in tiles.
struct Tiles {
    int64_t side;
    double* data;
    int64_t count() const { return ceil_div(side, kTile); }
    int size(int64_t i) const { return int(std::min(kTile, side - i * kTile)); }
    double* at(int64_t i, int64_t j) const { return data + i * kTile * side + j * kTile; }
};

// Lower triangle of row-major a, which is column-major upper, becomes L. 0, or the pivot that was not positive and finite, from 1: LAPACK alone
// lets NaN pass.
int potrf(int side, double* a, int stride) {
    const int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', side, a, stride);
    if (info != 0) return info;
    for (int i = 0; i < side; ++i)
        if (!std::isfinite(a[int64_t(i) * stride + i])) return i + 1;
    return 0;
}

}  // namespace

// Right-looking: factor a diagonal tile, solve the tiles below it, subtract their products from the tiles to the right.
int64_t cholesky(Threads& threads, int64_t side, double* a, double shift) {
    for (int64_t i = 0; i < side; ++i) a[i * side + i] += shift;
    const Tiles t{side, a};
    const int stride = int(side);
    for (int64_t k = 0; k < t.count(); ++k) {
        const int info = potrf(t.size(k), t.at(k, k), stride);
        if (info != 0) return k * kTile + info;
        const int64_t below = t.count() - k - 1;
        threads.each(below, [&](int64_t task, int) {
            const int64_t i = k + 1 + task;
            cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, t.size(i), t.size(k), 1.0,
                        t.at(k, k), stride, t.at(i, k), stride);
        });
        threads.each(below * (below + 1) / 2, [&](int64_t task, int) {
            int64_t i = 0;
            while ((i + 1) * (i + 2) / 2 <= task) ++i;  // row of the lower triangle
            const int64_t j = k + 1 + task - i * (i + 1) / 2;
            i += k + 1;
            if (i == j)
                cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, t.size(i), t.size(k), -1.0, t.at(i, k), stride,
                            1.0, t.at(i, i), stride);
            else
                cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, t.size(i), t.size(j), t.size(k), -1.0, t.at(i, k),
                            stride, t.at(j, k), stride, 1.0, t.at(i, j), stride);
        });
    }
    return 0;
}

// Columns are independent; a task has a fixed number of them.
void cholesky_solve(Threads& threads, int64_t side, const double* l, int64_t columns, double* x) {
    constexpr int64_t kColumns = 32;
    threads.each(ceil_div(columns, kColumns), [&](int64_t task, int) {
        const int count = int(std::min(kColumns, columns - task * kColumns));
        double* part = x + task * kColumns;
        for (CBLAS_TRANSPOSE transpose : {CblasNoTrans, CblasTrans})
            cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, transpose, CblasNonUnit, int(side), count, 1.0, l,
                        int(side), part, int(columns));
    });
}

// Columns [first, first + kTile) of the inverse, rows first and below: two solves with the trailing corner of L. They go to the upper triangle,
// which no solve reads, except for the diagonal tiles, which wait until all is done.
void cholesky_inverse(Threads& threads, int64_t side, double* l) {
    const Tiles t{side, l};
    std::vector<double> diagonal(size_t(t.count() * kTile * kTile));
    threads.each(t.count(), [&](int64_t k, int thread) {
        const int64_t first = k * kTile, rows = side - first;
        const int columns = t.size(k);
        double* x = reinterpret_cast<double*>(threads.scratch(thread, size_t(2 * rows * columns)));  // [rows, columns]
        std::fill_n(x, rows * columns, 0.0);
        for (int i = 0; i < columns; ++i) x[i * columns + i] = 1;
        for (CBLAS_TRANSPOSE transpose : {CblasNoTrans, CblasTrans})
            cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, transpose, CblasNonUnit, int(rows), columns, 1.0,
                        t.at(k, k), int(side), x, columns);
        std::copy_n(x, columns * columns, diagonal.data() + k * kTile * kTile);
        for (int j = 0; j < columns; ++j)
            for (int64_t i = columns; i < rows; ++i) l[(first + j) * side + first + i] = x[i * columns + j];
    });
    threads.each(t.count(), [&](int64_t k, int) {
        const double* tile = diagonal.data() + k * kTile * kTile;
        for (int i = 0; i < t.size(k); ++i)
            for (int j = i; j < t.size(k); ++j) t.at(k, k)[i * side + j] = tile[j * t.size(k) + i];
    });
    threads.each(side, [&](int64_t i, int) {
        for (int64_t j = 0; j < i; ++j) l[i * side + j] = l[j * side + i];
    });
}

}  // namespace lqf::cpu
