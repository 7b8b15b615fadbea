// a += sum over images of sum over positions of ã ã^T, straight from an activation (implicit SYRK: no patch matrix), or of v v^T with one
// vector v an image. What kron_input and kron_output have in common. Formulas: ops.h.
#ifndef LQF_GPU_SECOND_MOMENT_CUH
#define LQF_GPU_SECOND_MOMENT_CUH

#include "ops.h"

namespace lqf::gpu {

// The vectors whose second moment is wanted: the patches of x under kernel kh x kw, in the order of the weights [c, kh, kw], then a 1 if
// has_one. Inside a kernel the components stand in quads of four channels under one tap, as they do in memory: [tap, c / 4, 4].
struct Patches {
    int n, c, h, w, oh, ow, kh, kw, stride, pad;
    bool has_one;
};

// a [side, side], side = c * kh * kw + has_one; image i goes to a + i * image_stride. mean: of each image's mean (of_means) or sum vector
// instead of the sum over positions of products. Products of an image's sum are divided by divisor.
void second_moment(const Patches& patches, const float* x, double divisor, double* a, int64_t image_stride);
void moment_of_sums(const Patches& patches, const float* x, float divisor, double* a, int64_t image_stride);

}  // namespace lqf::gpu
#endif
