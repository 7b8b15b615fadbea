// The kernels of one instruction set: include after kernels.h and simd_*.h, with LQF_ISA the namespace. Everything here is static or a
// template of that namespace, so that no function of one instruction set is ever taken for that of another.
#ifndef LQF_ISA
#error "define LQF_ISA"
#endif

#include "conv_tile.h"
#include "elementwise.h"
#include "outer_tile.h"

namespace lqf::LQF_ISA {

template <int BLOCKS, int MOST, int PIXELS = 1>
static constexpr void fill_conv_tiles(cpu::Kernels& k) {
    if constexpr (PIXELS <= MOST) {
        k.conv_tile[BLOCKS - 1][PIXELS - 1] = conv_tile<PIXELS, BLOCKS>;
        fill_conv_tiles<BLOCKS, MOST, PIXELS + 1>(k);
    }
}

template <int BLOCKS, int CHANNELS = 1>
static constexpr void fill_outer_tiles(cpu::Kernels& k) {
    if constexpr (CHANNELS <= kOuterChannels) {
        k.outer_tile[BLOCKS - 1][CHANNELS - 1] = outer_tile<CHANNELS, BLOCKS>;
        fill_outer_tiles<BLOCKS, CHANNELS + 1>(k);
    }
}

static constexpr cpu::Kernels table(const char* name) {
    cpu::Kernels k{};
    k.name = name;
    k.tile_pixels[0] = kTilePixels1;
    k.tile_pixels[1] = kTilePixels2;
    fill_conv_tiles<1, kTilePixels1>(k);
    fill_conv_tiles<2, kTilePixels2>(k);
    k.outer_channels = kOuterChannels;
    k.outer_blocks = kOuterBlocks;
    fill_outer_tiles<1>(k);
    if constexpr (kOuterBlocks > 1) fill_outer_tiles<2>(k);
    k.sum_pixels = sum_pixels;
    k.leaky_relu = leaky_relu;
    k.leaky_relu_scale = leaky_relu_scale;
    k.add = add_arrays;
    k.scale = scale;
    k.axpy = axpy;
    k.dot = dot;
    k.axpy_double = axpy_double;
    return k;
}

}  // namespace lqf::LQF_ISA
