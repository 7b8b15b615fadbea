// The products of rows that are millions of floats long: those of J. Chunks of all rows are packed in panels, so that the operands of a task
// fit into a second-level cache; the tiles are those of the convolutions, with rows of a for pixels and 16 rows of b for a channel block.
#include <algorithm>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int kDepth = 256;  // floats of a row in a panel
constexpr int kPanels = 16;  // of a chunk: its products are summed in float, the chunks' sums in double
constexpr int kRow =
    kDepth + kBlock;  // from a row of a to the next in its panel: they start in different sets of the cache

// Tasks of a chunk, some rows and some blocks of columns each.
constexpr int kRows = 56, kBlocks = 20;

// sum [rows][blocks][16] = the products of a [panel][row][kRow] and b [panel][block][kDepth][16], whose rows have length floats;
// below the diagonal, where the column is less than row + below, a sum may be left out.
void multiply(const float* a, int64_t a_panel, int rows, const float* b, int64_t b_panel, int blocks, int length,
              int64_t below, float* sum) {
    const Kernels& k = kernels();
    const TapOffset tap{0, 0};
    ConvTile tile{};
    tile.x_pixel = kRow;
    tile.w_block = kDepth * kBlock;
    tile.w_taps = tile.tap_count = 1;
    tile.taps = &tap;
    tile.slope = 1;
    tile.y_block = kBlock, tile.y_pixel = blocks * kBlock;
    std::fill_n(sum, int64_t(rows) * blocks * kBlock, 0.0f);
    for (int first = 0; first < length; first += kDepth, a += a_panel, b += b_panel) {
        tile.channels = std::min(kDepth, length - first);
        each_share(rows, k.tile_pixels[k.tile_blocks - 1], [&](int row, int some) {
            tile.x = a + row * kRow;
            const int left = int(std::clamp<int64_t>((below + row) / kBlock, 0, blocks));
            each_share(blocks - left, k.tile_blocks, [&](int block, int few) {
                block += left;
                tile.w = b + block * tile.w_block;
                tile.y = sum + row * tile.y_pixel + block * kBlock;
                k.conv_row_tile[few - 1][some - 1](tile);
            });
        });
    }
}

}  // namespace

void gram(Threads& threads, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b, double* out,
          double* mirrored, int64_t stride) {
    const Kernels& k = kernels();
    const bool symmetric = out == mirrored;
    const int64_t all_blocks = ceil_div(b_rows, kBlock);
    const int64_t row_tasks = ceil_div(a_rows, kRows), column_tasks = ceil_div(all_blocks, kBlocks);
    const int64_t a_panel = a_rows * kRow, b_panel = all_blocks * kBlock * kDepth;
    float* packed_a = threads.shared_scratch(size_t(kPanels * (a_panel + b_panel)));
    float* packed_b = packed_a + kPanels * a_panel;
    for (int64_t first = 0; first < length; first += kPanels * kDepth) {
        const int chunk = int(std::min<int64_t>(kPanels * kDepth, length - first));
        threads.each(a_rows + all_blocks, [&](int64_t task, int) {
            for (int at = 0, panel = 0; at < chunk; at += kDepth, ++panel) {
                const int depth = std::min(kDepth, chunk - at);
                if (task < a_rows) {
                    std::copy_n(a + task * length + first + at, depth, packed_a + panel * a_panel + task * kRow);
                } else {
                    const int64_t row = (task - a_rows) * kBlock;
                    k.to_lanes(b + row * length + first + at, length, int(std::min<int64_t>(kBlock, b_rows - row)),
                               depth, 1, 1.0f, packed_b + panel * b_panel + row * kDepth);
                }
            }
        });
        threads.each(row_tasks * column_tasks, [&](int64_t task, int thread) {
            const int64_t row = task / column_tasks * kRows, block = task % column_tasks * kBlocks;
            const int rows = int(std::min<int64_t>(kRows, a_rows - row));
            const int blocks = int(std::min<int64_t>(kBlocks, all_blocks - block));
            const int64_t column = block * kBlock, columns = std::min<int64_t>(blocks * kBlock, b_rows - column);
            if (symmetric && column + columns <= row) return;
            float* sum = threads.scratch(thread, size_t(kRows * kBlocks * kBlock));
            multiply(packed_a + row * kRow, a_panel, rows, packed_b + column * kDepth, b_panel, blocks, chunk,
                     symmetric ? row - column : -columns - rows, sum);
            for (int i = 0; i < rows; ++i) {
                double* target = out + (row + i) * stride + column;
                if (first == 0) std::fill_n(target, columns, 0.0);
                k.axpy_double(columns, 1.0f, sum + int64_t(i) * blocks * kBlock, target);
            }
        });
    }
    if (!mirrored) return;
    threads.each(b_rows, [&](int64_t j, int) {
        for (int64_t i = 0; i < (symmetric ? j : a_rows); ++i) mirrored[j * stride + i] = out[i * stride + j];
    });
}

}  // namespace lqf::cpu
