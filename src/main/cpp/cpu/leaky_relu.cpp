#include "chunks.h"
#include "cpu_ops.h"

namespace lqf::cpu {

void leaky_relu(Threads& threads, int64_t count, float slope, const float* z, float* y) {
    each_chunk(threads, count, [&](int64_t first, int64_t n) { kernels().leaky_relu(n, slope, z + first, y + first); });
}

void leaky_relu_scale(Threads& threads, int64_t count, float slope, const float* y, const float* y_bar, float* z_bar,
                      bool accumulate) {
    each_chunk(threads, count, [&](int64_t first, int64_t n) {
        kernels().leaky_relu_scale(n, slope, y + first, y_bar + first, z_bar + first, accumulate);
    });
}

}  // namespace lqf::cpu
