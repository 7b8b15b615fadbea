// NOTE: GCC 12 warns of the deliberately undefined registers inside its own intrinsics (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#include "kernels.h"
#include "simd_avx512.h"
#define LQF_ISA avx512
#include "kernels_table.h"

namespace lqf::cpu {
constexpr Kernels kAvx512Kernels = avx512::table("avx512");
}
