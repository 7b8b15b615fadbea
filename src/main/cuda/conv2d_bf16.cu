// conv2d and its kin on tensor cores: bf16 operands, sums in fp32.
#include "conv2d_tile.cuh"

namespace lqf::gpu {

LQF_CONV2D_PRODUCT(Precision::kBf16)

}  // namespace lqf::gpu
