// The kernels of one instruction set: include after kernels.h and simd_*.h, with LQF_ISA the namespace. Everything here is static or a
// template of that namespace, so that no function of one instruction set is ever taken for that of another.
#ifndef LQF_ISA
#error "define LQF_ISA"
#endif

#include "conv_tile.h"
#include "elementwise.h"
#include "norm_rows.h"
#include "outer_tile.h"
#include "panel_product.h"
#include "pool_rows.h"
#include "row_tile.h"
#include "triangle.h"
#include "weight_lanes.h"
#include "winograd_tile.h"

namespace lqf::LQF_ISA {

template <int BLOCKS, int MOST, int PIXELS = 1>
static constexpr void fill_conv_tiles(cpu::Kernels& k) {
    if constexpr (PIXELS <= MOST) {
        k.conv_tile[BLOCKS - 1][PIXELS - 1] = conv_tile<PIXELS, BLOCKS, BlockTaps>;
        k.conv_row_tile[BLOCKS - 1][PIXELS - 1] = conv_tile<PIXELS, BLOCKS, RowTaps>;
        fill_conv_tiles<BLOCKS, MOST, PIXELS + 1>(k);
    }
}

template <int BLOCKS, int MOST, int CHANNELS = 1>
static constexpr void fill_outer_tiles(cpu::Kernels& k) {
    if constexpr (CHANNELS <= MOST) {
        k.outer_tile[BLOCKS - 1][CHANNELS - 1] = outer_tile<CHANNELS, BLOCKS>;
        fill_outer_tiles<BLOCKS, MOST, CHANNELS + 1>(k);
    }
}

// The tiles of each number of blocks that there is.
template <int BLOCKS = 1>
static constexpr void fill_tiles(cpu::Kernels& k) {
    if constexpr (BLOCKS <= sizeof kTilePixels / sizeof(int)) {
        k.tile_blocks = BLOCKS;
        k.tile_pixels[BLOCKS - 1] = kTilePixels[BLOCKS - 1];
        fill_conv_tiles<BLOCKS, kTilePixels[BLOCKS - 1]>(k);
    }
    if constexpr (BLOCKS <= sizeof kOuterChannels / sizeof(int)) {
        k.outer_blocks = BLOCKS;
        k.outer_channels[BLOCKS - 1] = kOuterChannels[BLOCKS - 1];
        fill_outer_tiles<BLOCKS, kOuterChannels[BLOCKS - 1]>(k);
        fill_tiles<BLOCKS + 1>(k);
    }
}

template <int FORM = cpu::kF2>
static constexpr void fill_winograd(cpu::Kernels& k) {
    if constexpr (FORM < cpu::kWinogradForms) {
        k.winograd_input[FORM] = winograd_input<FORM>;
        k.winograd_output[FORM] = winograd_output<FORM>;
        k.winograd_weights[FORM] = winograd_weights<FORM>;
        if constexpr (FORM != cpu::kF2Transposed) {
            k.winograd_cotangent[FORM] = winograd_cotangent<FORM>;
            k.winograd_gradient[FORM] = winograd_gradient<FORM>;
        }
        fill_winograd<FORM + 1>(k);
    }
}

template <int FORM = cpu::kRowF2>
static constexpr void fill_rows(cpu::Kernels& k) {
    if constexpr (FORM < cpu::kRowForms) {
        k.row_input[FORM] = row_input<FORM>;
        k.row_output[FORM] = row_output<FORM>;
        k.row_weights[FORM] = row_weights<FORM>;
        if constexpr (FORM == cpu::kRowF4) {
            k.row_cotangent[FORM] = row_cotangent<FORM>;
            k.row_gradient[FORM] = row_gradient<FORM>;
        }
        fill_rows<FORM + 1>(k);
    }
}

static constexpr cpu::Kernels table(const char* name) {
    cpu::Kernels k{};
    k.name = name;
    fill_tiles(k);
    fill_winograd(k);
    fill_rows(k);
    k.panel_product = panel_product<Block, float>;
    k.panel_product_double = panel_product<DoubleBlock, double>;
    k.to_panel = to_panel;
    k.invert_triangle = invert_triangle<Block, float>;
    k.invert_triangle_double = invert_triangle<DoubleBlock, double>;
    k.max_pool_row = max_pool_row;
    k.sum_pixels = sum_pixels;
    k.to_lanes = to_lanes;
    k.from_lanes = from_lanes;
    k.pair_sums = pair_sums;
    k.normalise = normalise;
    k.normalise_vjp = normalise_vjp;
    k.leaky_relu = leaky_relu;
    k.leaky_relu_scale = leaky_relu_scale;
    k.add = add_arrays;
    k.scale = scale;
    k.axpy = axpy;
    k.dot = dot<float>;
    k.axpy_double = axpy_double;
    k.minus_row = minus_row<float>;
    k.minus_row_double = minus_row<double>;
    k.row_sums = row_sums;
    k.dot_double = dot<double>;
    k.subtract_double = subtract_double;
    return k;
}

}  // namespace lqf::LQF_ISA
