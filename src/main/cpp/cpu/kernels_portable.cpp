#include "kernels.h"
#include "simd_portable.h"
#define LQF_ISA portable
#include "kernels_table.h"

namespace lqf::cpu {
constexpr Kernels kPortableKernels = portable::table("portable");
}
