// Sums of outer products over a rectangle of pixels: the loop behind conv2d_vjp_w and the Kronecker factors.
#ifndef LQF_CPU_OUTER_SUM_H
#define LQF_CPU_OUTER_SUM_H

#include "layout.h"

namespace lqf::cpu {

// One side of the product: pixel (r, c) stands at base + r * row + c * pixel.
struct PixelGrid {
    const float* base;
    int64_t row, pixel;
};

// sum[block][channel][16] += sum over rows and columns of x[channel] y[block], blocks of sum being sum_block floats apart; or is set to it. From next on
// lines are fetched meanwhile, if there is any.
inline void outer_sum(const Kernels& k, Range rows, Range columns, const PixelGrid& x, int channels, const PixelGrid& y,
                      int64_t y_block, int blocks, float* sum, int64_t sum_block, bool fresh = false,
                      const float* next = nullptr) {
    if (!fresh && (rows.size() == 0 || columns.size() == 0)) return;
    OuterTile tile;
    tile.x = x.base + rows.first * x.row + columns.first * x.pixel;
    tile.x_row = x.row, tile.x_pixel = x.pixel;
    tile.y = y.base + rows.first * y.row + columns.first * y.pixel;
    tile.y_row = y.row, tile.y_pixel = y.pixel, tile.y_block = y_block;
    tile.rows = rows.size(), tile.pixels = columns.size();
    tile.sum = sum, tile.sum_block = sum_block, tile.fresh = fresh;
    tile.next = next ? next : tile.y;
    each_share(channels, k.outer_channels[blocks - 1], [&](int, int some) {
        k.outer_tile[blocks - 1][some - 1](tile);
        tile.x += some;
        tile.sum += some * kBlock;
        if (next) tile.next += int64_t(tile.rows) * tile.pixels * kBlock;
    });
}

// Rows that are worked off for all taps before the next ones, so that they are still in the second-level cache.
inline int rows_at_once(int columns, int planes) {
    constexpr int64_t kFloats = 8 * 1024;
    return int(std::max<int64_t>(1, kFloats / (int64_t(columns) * planes * kBlock)));
}

}  // namespace lqf::cpu
#endif
