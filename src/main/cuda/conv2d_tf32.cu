// conv2d and its kin on tensor cores: tf32 operands, sums in fp32.
#include "conv2d_tile.cuh"

namespace lqf::gpu {

LQF_CONV2D_PRODUCT(Precision::kTf32)

}  // namespace lqf::gpu
