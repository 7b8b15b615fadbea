#pragma GCC target("avx2,fma")
#include "kernels.h"
#include "simd_avx2.h"
#define LQF_ISA avx2
#include "kernels_table.h"

namespace lqf::cpu {
constexpr Kernels kAvx2Kernels = avx2::table("avx2");
}
