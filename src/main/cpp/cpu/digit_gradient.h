// The gradient of the weights of a convolution on the matrix unit.
#ifndef LQF_CPU_DIGIT_GRADIENT_H
#define LQF_CPU_DIGIT_GRADIENT_H

#include "digit_conv.h"

namespace lqf::cpu {

// Whether it takes less than outer products: small maps, whose outer products would begin and end too often.
bool suits_digit_gradient(const Conv2d&);

// What conv2d_vjp_w does but for the bias; the bits differ. Every element of w_bar is one chain over images and pixels.
void digit_gradient(Threads&, const Conv2d&, const float* x, const float* y_bar, float* w_bar, int64_t image_stride);

}  // namespace lqf::cpu
#endif
