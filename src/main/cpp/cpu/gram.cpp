// The products of rows that are millions of floats long: those of J. A chunk of all rows is packed, then tasks of some rows and some columns
// multiply what is packed; a chunk's products are summed in float, the chunks' sums in double.
#include <algorithm>

#include "cpu_ops.h"
#include "layout.h"
#include "panels.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// A chunk of the rows of a and of b, packed in panels so that the operands of a task fit into a second-level cache.
struct Chunk {
    int64_t a_rows, b_rows;
    int64_t first;  // of the floats of a row
    int length;     // floats of a row in the chunk
};

// By the products of panels that inverses are made of: 48 columns are in the lanes of registers, rows are broadcast.
class FloatProducts {
public:
    static constexpr int kMost = 4096;                // of a chunk
    static constexpr int kRows = 96, kColumns = 192;  // of a task
    static constexpr int kPad = kPanelRows<float>;    // columns come in so many

    // same: a is b
    FloatProducts(Threads& threads, int64_t a_rows, int64_t b_rows, bool same)
        : a_blocks_(same ? 0 : ceil_div(a_rows, kBlock)) {
        const int64_t a_panels = ceil_div(a_blocks_, kBlocks);
        a_ = threads.shared_scratch(size_t((a_panels + ceil_div(b_rows, kPad)) * kPanel));
        b_ = a_ + a_panels * kPanel;
    }

    // 16 rows a task.
    int64_t packs(const Chunk& c) const { return a_blocks_ + ceil_div(c.b_rows, kBlock); }
    void pack(const Chunk& c, int64_t task, const float* a, const float* b, int64_t row) const {
        const bool of_a = task < a_blocks_;
        const int64_t block = of_a ? task : task - a_blocks_, first = block * kBlock;
        const int lanes = int(std::min<int64_t>((of_a ? c.a_rows : c.b_rows) - first, kBlock));
        kernels().to_panel((of_a ? a : b) + first * row + c.first, row, lanes, c.length, padded(c.length),
                           (of_a ? a_ : b_) + block / kBlocks * kPanel + block % kBlocks * kBlock);
    }

    // sum [panel of columns][rows][48]; what is below the diagonal, where column < row + below, may be left out.
    void multiply(const Chunk& c, int64_t row, int rows, int64_t column, int columns, int64_t below, float* sum) const {
        constexpr int kDepth = 96;  // a panel of so many floats fits into a first-level cache
        std::fill_n(sum, int64_t(rows) * ceil_div(columns, kPad) * kPad, 0.0f);
        const float *a = a_ + row / kPad * kPanel, *b = b_ + column / kPad * kPanel;
        for (int first = 0; first < c.length; first += kDepth) {
            const int count = std::min(kDepth, padded(c.length) - first);
            for (int at = 0; at < columns; at += kPad) {
                const int64_t panel = at / kPad, ahead = int64_t(first + count) * kPad;
                const int lanes = int(std::min<int64_t>(kPad, ceil_div(c.b_rows - column - at, kBlock) * kBlock));
                panel_product({count,
                               lanes,
                               b + panel * kPanel + int64_t(first) * kPad,
                               a + int64_t(first) * kPad,
                               kPanel,
                               sum + panel * rows * kPad,
                               int(std::clamp<int64_t>(at + kPad - below, 0, rows)),
                               {b + panel * kPanel + ahead, a + panel % ceil_div(rows, kPad) * kPanel + ahead}});
            }
        }
    }
    static constexpr int kRun = kPad;  // columns whose sums stand side by side
    static const float* at(const float* sum, int rows, int, int row, int column) {
        return sum + (int64_t(column) / kPad * rows + row) * kPad + column % kPad;
    }

private:
    static constexpr int64_t kBlocks = kPad / kBlock, kPanel = int64_t(kMost) * kPad;  // floats

    static int padded(int length) { return int(ceil_div(length, kPanelStep)) * kPanelStep; }

    int64_t a_blocks_;
    float *a_, *b_;
};

// On the matrix unit. A float is two bf16, which leaves 2^-17 of it: in a sum of thousands of products of such rows, errors of both signs, that is
// less than the rounding of the sum.
class HalvesProducts {
public:
    static constexpr int kMost = 2048;
    static constexpr int kRows = 320, kColumns = 320;
    static constexpr int kPad = 2 * kBlock;     // rows and columns come in so many
    static constexpr int64_t kShortest = 4096;  // rows that are long enough

    HalvesProducts(Threads& threads, int64_t a_rows, int64_t b_rows, bool)
        : a_groups_(groups(a_rows)), a_panel_(a_groups_ * kPanelGroup), b_panel_(groups(b_rows) * kPanelGroup) {
        const int64_t panels = kMost / kTileDepth / kPanelTiles;
        a_ = reinterpret_cast<uint32_t*>(threads.shared_scratch(size_t(panels * (a_panel_ + b_panel_))));
        b_ = a_ + panels * a_panel_;
    }

    int64_t packs(const Chunk& c) const { return a_groups_ + groups(c.b_rows); }
    void pack(const Chunk& c, int64_t task, const float* a, const float* b, int64_t row) const {
        const bool right = task >= a_groups_;
        const int64_t group = right ? task - a_groups_ : task, first = group * kBlock;
        const int lanes = int(std::clamp<int64_t>((right ? c.b_rows : c.a_rows) - first, 0, kBlock));
        const float* rows = (right ? b : a) + (lanes > 0 ? first * row : 0) + c.first;
        uint32_t* tiles = (right ? b_ : a_) + group * kPanelGroup;
        constexpr int kDepth = kPanelTiles * kTileDepth;
        for (int at = 0; at < c.length; at += kDepth, tiles += right ? b_panel_ : a_panel_)
            kernels().split_rows(rows + at, row, lanes, std::min(kDepth, c.length - at), right, tiles);
    }

    void multiply(const Chunk& c, int64_t row, int rows, int64_t column, int columns, int64_t below, float* sum) const {
        kernels().multiply_halves({a_ + row / kBlock * kPanelGroup, b_ + column / kBlock * kPanelGroup, a_panel_,
                                   b_panel_, int(ceil_div(rows, kPad)) * kPad, columns,
                                   int(ceil_div(c.length, kTileDepth)), below, sum, columns});
    }
    static constexpr int kRun = kColumns;
    static const float* at(const float* sum, int, int columns, int row, int column) {
        return sum + int64_t(row) * columns + column;
    }

private:
    static int64_t groups(int64_t rows) { return kPad / kBlock * ceil_div(rows, kPad); }

    int64_t a_groups_, a_panel_, b_panel_;
    uint32_t *a_, *b_;
};

template <class Products>
void products(Threads& threads, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b,
              bool add, double* out, bool symmetric, int64_t stride) {
    const Products packed(threads, a_rows, b_rows, a == b && a_rows == b_rows);
    const int64_t row_tasks = ceil_div(a_rows, Products::kRows), column_tasks = ceil_div(b_rows, Products::kColumns);
    for (int64_t first = 0; first < length; first += Products::kMost) {
        const Chunk chunk{a_rows, b_rows, first, int(std::min<int64_t>(Products::kMost, length - first))};
        threads.each(packed.packs(chunk), [&](int64_t task, int) { packed.pack(chunk, task, a, b, length); });
        threads.each(row_tasks * column_tasks, [&](int64_t task, int thread) {
            const int64_t row = task / column_tasks * Products::kRows,
                          column = task % column_tasks * Products::kColumns;
            const int rows = int(std::min<int64_t>(Products::kRows, a_rows - row));
            const int columns = int(std::min<int64_t>(Products::kColumns, b_rows - column));
            if (symmetric && column + columns <= row) return;
            const int padded = int(ceil_div(columns, Products::kPad)) * Products::kPad;
            float* sum = threads.scratch(thread, size_t(Products::kRows * Products::kColumns));
            packed.multiply(chunk, row, rows, column, padded, symmetric ? row - column : -columns - rows, sum);
            for (int i = 0; i < rows; ++i) {
                const int left = symmetric ? int(std::clamp<int64_t>(row + i - column, 0, columns)) : 0;
                double* target = out + (row + i) * stride + column;
                if (first == 0 && !add) std::fill(target + left, target + columns, 0.0);
                for (int from = left, to; from < columns; from = to) {
                    to = std::min(columns, (from / Products::kRun + 1) * Products::kRun);
                    kernels().axpy_double(to - from, 1.0f, Products::at(sum, rows, padded, i, from), target + from);
                }
            }
        });
    }
}

}  // namespace

void gram(Threads& threads, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b, bool add,
          double* out, double* mirrored, int64_t stride) {
    const bool symmetric = out == mirrored;
    const bool halves = kernels().multiply_halves && length >= HalvesProducts::kShortest;
    (halves ? products<HalvesProducts> : products<FloatProducts>)(threads, a_rows, b_rows, length, a, b, add, out,
                                                                  symmetric, stride);
    if (!mirrored) return;
    threads.each(b_rows, [&](int64_t j, int) {
        for (int64_t i = 0; i < (symmetric ? j : a_rows); ++i) mirrored[j * stride + i] = out[i * stride + j];
    });
}

}  // namespace lqf::cpu
