// kron_output: g += sum y_bar y_bar^T / T over images and positions (expand), or over images of the sum of y_bar (reduce).
#include "backend.h"
#include "second_moment.cuh"

namespace lqf::gpu {

void kron_output(Threads&, const Conv2d& c, const float* y_bar, bool reduce, double* g, int64_t image_stride) {
    const Patches pixels{c.n, c.oc, c.oh, c.ow, c.oh, c.ow, 1, 1, 1, 0, false};
    const int positions = c.oh * c.ow;
    if (reduce || positions == 1)
        moment_of_sums(pixels, y_bar, 1, g, image_stride);
    else
        second_moment(pixels, y_bar, positions, g, image_stride);
}

}  // namespace lqf::gpu
