// Products on the matrix unit (AMX). What prepares its operands is AVX-512.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#include "kernels.h"
#include "matrix_unit.h"

namespace lqf::amx {

using avx512::Block;

// The high part of a float, which a bf16 holds: the magnitude goes up from some place between two of them. The products of low parts are left
// out. On the left it goes up from the middle, on the right from 1 - 1/sqrt(12) of the way: then the low parts of equal floats are uncorrelated,
// and what is left out has no sign. (With f uniform in [0, 1), l = f - [f >= 1/2] and l' = f - [f >= t]: E[l l'] = 11/24 - t + t^2/2.)
LQF_INLINE __m512 high_part(__m512 x, bool right) {
    const int up = right ? 0x49e7 : 0x8000;  // of 0x10000
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(up)),
                                                _mm512_set1_epi32(int(0xffff0000))));
}

// 32 floats of a row.
LQF_INLINE void split(__m512 first, __m512 second, bool right, Block& high, Block& low) {
    const __m512 first_high = high_part(first, right), second_high = high_part(second, right);
    high.v = _mm512_castsi512_ps(__m512i(_mm512_cvtne2ps_pbh(second_high, first_high)));
    low.v = _mm512_castsi512_ps(
        __m512i(_mm512_cvtne2ps_pbh(_mm512_sub_ps(second, second_high), _mm512_sub_ps(first, first_high))));
}

void split_rows(const float* rows, int64_t row, int lanes, int length, bool right, uint32_t* tiles) {
    for (int at = 0; at < length; at += cpu::kTileDepth, tiles += cpu::kHalvesTile) {
        const int left = length - at;
        const __mmask16 first = left >= 16 ? 0xffff : __mmask16((1 << left) - 1);
        const __mmask16 second = left >= 32 ? 0xffff : left <= 16 ? 0 : __mmask16((1 << (left - 16)) - 1);
        Block high[cpu::kBlock], low[cpu::kBlock];
        for (int lane = 0; lane < cpu::kBlock; ++lane) {
            const float* from = rows + lane * row + at;
            if (lane < lanes) {
                split(_mm512_maskz_loadu_ps(first, from), _mm512_maskz_loadu_ps(second, from + 16), right, high[lane],
                      low[lane]);
            } else {
                high[lane] = low[lane] = avx512::zero();
            }
        }
        if (right) avx512::transpose(high), avx512::transpose(low);
        for (int line = 0; line < cpu::kBlock; ++line) {
            _mm512_storeu_ps(tiles + line * cpu::kBlock, high[line].v);
            _mm512_storeu_ps(tiles + (cpu::kBlock + line) * cpu::kBlock, low[line].v);
        }
    }
}

// 32 x 32 sums over the tiles of a panel.
LQF_INLINE void multiply_panel(const uint32_t* left, const uint32_t* right, int tiles, float* sum, int64_t sum_row,
                               bool fresh) {
    constexpr int64_t kLow = cpu::kBlock * cpu::kBlock, kNext = cpu::kPanelGroup;
    const int64_t line = sum_row * int64_t(sizeof(float));
    float* lower = sum + cpu::kBlock * sum_row;
    if (fresh) {
        zero_sums();
    } else {
        _tile_loadd(0, sum, line);
        _tile_loadd(1, sum + cpu::kBlock, line);
        _tile_loadd(2, lower, line);
        _tile_loadd(3, lower + cpu::kBlock, line);
    }
    for (int i = 0; i < tiles; ++i, left += cpu::kHalvesTile, right += cpu::kHalvesTile) {
        _tile_loadd(4, left + kLow, kLine);
        _tile_loadd(5, left + kNext + kLow, kLine);
        _tile_loadd(6, right, kLine);
        _tile_loadd(7, right + kNext, kLine);
        multiply_tiles();  // low, high
        _tile_loadd(4, left, kLine);
        _tile_loadd(5, left + kNext, kLine);
        multiply_tiles();  // high, high
        _tile_loadd(6, right + kLow, kLine);
        _tile_loadd(7, right + kNext + kLow, kLine);
        multiply_tiles();  // high, low
    }
    _tile_stored(0, sum, line);
    _tile_stored(1, sum + cpu::kBlock, line);
    _tile_stored(2, lower, line);
    _tile_stored(3, lower + cpu::kBlock, line);
}

void multiply_halves(const cpu::HalvesProduct& p) {
    const TileShapes shapes;
    _tile_loadconfig(&shapes);
    constexpr int kPair = 2 * cpu::kBlock;
    for (int first = 0, panel = 0; first < p.tiles; first += cpu::kPanelTiles, ++panel) {
        const int tiles = p.tiles - first < cpu::kPanelTiles ? p.tiles - first : cpu::kPanelTiles;
        const uint32_t* left = p.left + panel * p.left_panel;
        const uint32_t* right = p.right + panel * p.right_panel;
        for (int row = 0; row < p.rows; row += kPair) {
            const int64_t diagonal = row + p.below;
            for (int column = diagonal <= 0 ? 0 : int(diagonal / kPair * kPair); column < p.columns; column += kPair)
                multiply_panel(left + row / cpu::kBlock * cpu::kPanelGroup,
                               right + column / cpu::kBlock * cpu::kPanelGroup, tiles, p.sum + row * p.sum_row + column,
                               p.sum_row, panel == 0);
        }
    }
    _tile_release();
}

}  // namespace lqf::amx
