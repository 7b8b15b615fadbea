// kron_input: a += sum ã ã^T over images and positions (expand), or over images of the mean ã (reduce).
#include "backend.h"
#include "second_moment.cuh"

namespace lqf::gpu {

void kron_input(Threads&, const Conv2d& c, const float* x, bool reduce, double* a) {
    const Patches patches{c.n, c.ic, c.ih, c.iw, c.oh, c.ow, c.kh, c.kw, c.stride, c.pad, true};
    const int positions = c.oh * c.ow;
    if (reduce || positions == 1)
        moment_of_sums(patches, x, float(positions), a, 0);
    else
        second_moment(patches, x, 1, a, 0);
}

}  // namespace lqf::gpu
