// Convolutions on the matrix unit: direct sums over taps of products of digits.
#ifndef LQF_CPU_DIGIT_CONV_H
#define LQF_CPU_DIGIT_CONV_H

#include "tap_conv.h"

namespace lqf::cpu {

// Whether this processor has a matrix unit and the convolution fills its tiles.
bool suits_digits(const Conv2d&);

// Packed weights: [bias: out blocks * 16][out block][pair of in blocks][tap][digits of a step], without the bias when transposed.
int64_t digit_floats(const Conv2d&);
void digit_pack(Threads&, const Conv2d&, const float* w, float* packed);  // behind the bias
void digit_pack_transposed(Threads&, const Conv2d&, const float* w, float* packed);

// What tap_conv does; the bits differ. Every output is one chain: pair by pair of channel blocks, tap by tap, then bias and residual.
void digit_conv(Threads&, const Conv2d&, const TapConv& conv);

}  // namespace lqf::cpu
#endif
