// The products of rows that are millions of floats long: those of J. A chunk of all rows is packed, then tasks of some rows and some columns
// multiply what is packed; a chunk's products are summed in float, the chunks' sums in double.
#include <algorithm>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// A chunk of the rows of a and of b, packed in panels so that the operands of a task fit into a second-level cache.
struct Chunk {
    int64_t a_rows, b_rows;
    int64_t first;  // of the floats of a row
    int length;     // floats of a row in the chunk
};

// By the tiles of the convolutions: a has rows for pixels, b 16 rows for a channel block.
class FloatProducts {
public:
    static constexpr int kDepth = 256;                // floats of a row in a panel
    static constexpr int kMost = 4096;                // of a chunk
    static constexpr int kRows = 56, kColumns = 320;  // of a task
    static constexpr int kPad = kBlock;               // columns come in so many

    FloatProducts(Threads& threads, int64_t a_rows, int64_t b_rows)
        : blocks_(ceil_div(b_rows, kBlock)), a_panel_(a_rows * kRow), b_panel_(blocks_ * kBlock * kDepth) {
        a_ = threads.shared_scratch(size_t(kMost / kDepth * (a_panel_ + b_panel_)));
        b_ = a_ + kMost / kDepth * a_panel_;
    }

    int64_t packs(const Chunk& c) const { return c.a_rows + blocks_; }
    void pack(const Chunk& c, int64_t task, const float* a, const float* b, int64_t row) const {
        for (int at = 0, panel = 0; at < c.length; at += kDepth, ++panel) {
            const int depth = std::min(kDepth, c.length - at);
            const int64_t from = c.first + at;
            if (task < c.a_rows) {
                std::copy_n(a + task * row + from, depth, a_ + panel * a_panel_ + task * kRow);
            } else {
                const int64_t column = (task - c.a_rows) * kBlock;
                kernels().to_lanes(b + column * row + from, row, int(std::min<int64_t>(kBlock, c.b_rows - column)),
                                   depth, 1, 1.0f, b_ + panel * b_panel_ + column * kDepth);
            }
        }
    }

    // sum [rows][columns]; what is below the diagonal, where column < row + below, may be left out.
    void multiply(const Chunk& c, int64_t row, int rows, int64_t column, int columns, int64_t below, float* sum) const {
        const Kernels& k = kernels();
        const TapOffset tap{0, 0};
        ConvTile tile{};
        tile.x_pixel = kRow;
        tile.w_block = kDepth * kBlock;
        tile.w_taps = tile.tap_count = 1;
        tile.taps = &tap;
        tile.slope = 1;
        tile.y_block = kBlock, tile.y_pixel = columns;
        std::fill_n(sum, int64_t(rows) * columns, 0.0f);
        for (int first = 0, panel = 0; first < c.length; first += kDepth, ++panel) {
            tile.channels = std::min(kDepth, c.length - first);
            each_share(rows, k.tile_pixels[k.tile_blocks - 1], [&](int at, int some) {
                tile.x = a_ + panel * a_panel_ + (row + at) * kRow;
                const int blocks = columns / kBlock, left = int(std::clamp<int64_t>((below + at) / kBlock, 0, blocks));
                each_share(blocks - left, k.tile_blocks, [&](int block, int few) {
                    block += left;
                    tile.w = b_ + panel * b_panel_ + column * kDepth + block * tile.w_block;
                    tile.next = tile.w;
                    tile.y = sum + at * tile.y_pixel + block * kBlock;
                    k.conv_row_tile[few - 1][some - 1](tile);
                });
            });
        }
    }

private:
    static constexpr int kRow =
        kDepth + kBlock;  // from a row of a to the next: they start in different sets of the cache

    int64_t blocks_, a_panel_, b_panel_;
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

    HalvesProducts(Threads& threads, int64_t a_rows, int64_t b_rows)
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

private:
    static int64_t groups(int64_t rows) { return kPad / kBlock * ceil_div(rows, kPad); }

    int64_t a_groups_, a_panel_, b_panel_;
    uint32_t *a_, *b_;
};

template <class Products>
void products(Threads& threads, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b,
              bool add, double* out, bool symmetric, int64_t stride) {
    const Products packed(threads, a_rows, b_rows);
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
            const int sum_row = int(ceil_div(columns, Products::kPad)) * Products::kPad;
            float* sum = threads.scratch(thread, size_t(Products::kRows * Products::kColumns));
            packed.multiply(chunk, row, rows, column, sum_row, symmetric ? row - column : -columns - rows, sum);
            for (int i = 0; i < rows; ++i) {
                const int64_t left = symmetric ? std::clamp<int64_t>(row + i - column, 0, columns) : 0;
                double* target = out + (row + i) * stride + column + left;
                if (first == 0 && !add) std::fill_n(target, columns - left, 0.0);
                kernels().axpy_double(columns - left, 1.0f, sum + int64_t(i) * sum_row + left, target);
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
