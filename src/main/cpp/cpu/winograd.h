// 3 x 3 convolutions of stride 1 by Winograd's minimal filtering: the tiles of the input and the weights are transformed, multiplied for each
// of the tile's a x a elements as a 1 x 1 convolution, and transformed back.
#ifndef LQF_CPU_WINOGRAD_H
#define LQF_CPU_WINOGRAD_H

#include "tap_conv.h"

namespace lqf::cpu {

// Outputs a side of the tiles that suit this convolution: 2 or 4; 0 if the sum by taps costs less. Depends neither on n nor on threads.
int winograd_outputs(const Conv2d&);
int winograd_vjp_w_outputs(const Conv2d&);

// Packed weights: [bias: out blocks * 16][a * a][out block][channels in][16 lanes of the out block], without the bias when transposed.
int64_t winograd_floats(const Conv2d&, int outputs);

// held [tap][channel][16], the weights of one input and one output block, to packed weights of in channels and out blocks. tap: floats from a
// tap to the next.
void winograd_pack(int outputs, const float* held, int64_t tap, int in, int in_channels, int out_block, int out_blocks,
                   float* u);

// The convolution with its zero padding, of stride 1 and 3 x 3 taps: sources, outputs and planes of conv; Source::w is packed as above.
void winograd_conv(Threads&, int outputs, int pad, const TapConv& conv);

}  // namespace lqf::cpu
#endif
