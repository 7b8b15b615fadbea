// Tiny kernels, each around one function of ptx.cuh, what stands in for one, or one shuffle: what that instruction does, seen from outside.
#ifndef LQF_CONFORMANCE_H
#define LQF_CONFORMANCE_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lqf::gpu::conformance {

using Words = std::vector<uint32_t>;

enum class Wrapper {
    kCopyAsync,       // in [3 groups, 32 lanes, 4], out the same: zeros where (lane + group) % 3 == 0
    kLoadMatrix,      // in [32 rows, 4], out [32 lanes, 4]: lane l gives the address of row (5 l + 3) % 32
    kLoadTransposed,  // the same
    kToTf32,          // in [32], out [32]
    kTf32ForMma,      // of conv2d_vjp_w_tensor.cuh, without the bits that mma ignores; in [32], out [32]
    kToBf16,          // in [32, 2] low and high, out [32]
    kMmaTf32,         // in [32 lanes, a 4, b 2, d 4], out [32 lanes, d 4]
    kMmaBf16,         // the same
    kShuffle  // in [32], out [32, 6]: from lane 7 l, lane ^ 5, lane + 3; the same of doubles, as their high words
};

// One warp for every such `in`. Returns what they wrote, in order.
Words run(Wrapper wrapper, const Words& in);

struct Case {
    Words in, expected;
};

// An input of some warps, and what the PTX ISA says must come out.
Case case_of(Wrapper wrapper);

}  // namespace lqf::gpu::conformance
#endif
