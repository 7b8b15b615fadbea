// The tiles of the matrix unit (AMX): include after the pragma that chooses the instruction set.
#ifndef LQF_CPU_MATRIX_UNIT_H
#define LQF_CPU_MATRIX_UNIT_H

#include <cstdint>

#include "simd_avx512.h"

namespace lqf::amx {

static constexpr int kLine = 64;  // bytes

// Eight tiles of 16 lines of 64 bytes.
namespace {
struct alignas(64) TileShapes {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {kLine, kLine, kLine, kLine, kLine, kLine, kLine, kLine};
    uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
}  // namespace

// Of two by two products: tiles 0 to 3 are sums, 4 and 5 left, 6 and 7 right.
LQF_INLINE void zero_sums() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

// To be called between products: where no floating point instruction is under way the unit multiplies at three quarters of its speed (measured on
// the Xeon of bench/results: 590 cycles where it takes 450 with one addition every four products; integer instructions do not help).
LQF_INLINE void keep_pace() {
    __m256 zeros = _mm256_setzero_ps();
    asm volatile("vaddps %0, %0, %0" : "+v"(zeros));
}

LQF_INLINE void multiply_tiles() {
    keep_pace();
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

}  // namespace lqf::amx
#endif
