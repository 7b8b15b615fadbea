// Packed weights: [bias: out blocks * 16][out block][in block][kh * kw][channels of the in block][16 lanes of the out block].
// Out and in are oc and ic for conv2d and conv2d_jvp, ic and oc (and no bias in front) for conv2d_vjp_x.
#ifndef LQF_CPU_CONV2D_WEIGHTS_H
#define LQF_CPU_CONV2D_WEIGHTS_H

#include "layout.h"
#include "ops.h"

namespace lqf::cpu {

inline int64_t bias_floats(const Conv2d& c) { return int64_t(blocks_of(c.oc)) * kBlock; }
inline int64_t weight_floats(const Conv2d& c) { return int64_t(blocks_of(c.oc)) * kBlock * c.patch(); }
inline int64_t transposed_floats(const Conv2d& c) { return int64_t(blocks_of(c.ic)) * kBlock * c.oc * c.kh * c.kw; }

// A linear layer: one output pixel, which sees the whole input.
inline bool is_linear(const Conv2d& c) { return c.kh == c.ih && c.kw == c.iw && c.pad == 0; }
// Each input pixel is looked at by one output pixel alone, and the other way round.
inline bool is_pointwise(const Conv2d& c) { return c.kh == 1 && c.kw == 1 && c.pad == 0 && c.stride == 1; }

// An image: its channels fill little of a block. Without the empty lanes the taps of a kernel's row are one run of kw * ic inputs.
inline bool has_row_taps(const Conv2d& c) { return c.ic <= 4 && c.kw > 1 && !is_linear(c); }

}  // namespace lqf::cpu
#endif
