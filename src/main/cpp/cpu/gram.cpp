#include <cblas.h>

#include <algorithm>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {

// Tiles of out, each the double sum of float products over fixed chunks of the length.
void gram(Threads& threads, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b, double* out,
          double* mirrored, int64_t stride) {
    constexpr int64_t kTile = 192, kLength = 4096;
    const bool symmetric = out == mirrored;
    const int64_t tile_columns = ceil_div(b_rows, kTile);
    threads.each(ceil_div(a_rows, kTile) * tile_columns, [&](int64_t task, int thread) {
        const int64_t row = task / tile_columns * kTile, column = task % tile_columns * kTile;
        if (symmetric && column < row) return;
        const int64_t rows = std::min(kTile, a_rows - row), columns = std::min(kTile, b_rows - column);
        float* product = threads.scratch(thread, size_t(kTile * kTile));
        for (int64_t i = 0; i < rows; ++i) std::fill_n(out + (row + i) * stride + column, columns, 0.0);
        for (int64_t first = 0; first < length; first += kLength) {
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(rows), int(columns),
                        int(std::min(kLength, length - first)), 1.0f, a + row * length + first, int(length),
                        b + column * length + first, int(length), 0.0f, product, int(columns));
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < columns; ++j) out[(row + i) * stride + column + j] += product[i * columns + j];
        }
    });
    if (!mirrored) return;
    threads.each(b_rows, [&](int64_t j, int) {
        for (int64_t i = 0; i < (symmetric ? j : a_rows); ++i) mirrored[j * stride + i] = out[i * stride + j];
    });
}

}  // namespace lqf::cpu
