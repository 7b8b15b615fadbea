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

}  // namespace lqf::amx
#endif
