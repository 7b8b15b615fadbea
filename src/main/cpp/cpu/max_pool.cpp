#include <cstring>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {

// Tasks are planes of 16 channels: [ih, iw, 16] to [oh, ow, 16]. argmax stands beside y and counts pixels of the plane.
void max_pool(Threads& threads, const Pool2d& p, const float* x, float* y, int32_t* argmax) {
    threads.each(int64_t(p.n) * blocks_of(p.c), [&](int64_t task, int) {
        const int64_t row_floats = int64_t(p.ow) * kBlock;
        MaxPoolRow row{x + task * p.ih * p.iw * kBlock,
                       p.ih,
                       p.iw,
                       -p.pad,
                       p.kh,
                       p.kw,
                       p.stride,
                       p.pad,
                       p.ow,
                       y + task * p.oh * row_floats,
                       argmax + task * p.oh * row_floats};
        for (int r = 0; r < p.oh; ++r) {
            kernels().max_pool_row(row);
            row.top += p.stride, row.y += row_floats, row.argmax += row_floats;
        }
    });
}

void max_pool_jvp(Threads& threads, const Pool2d& p, const float* x_dot, const int32_t* argmax, float* y_dot) {
    const int64_t outputs = int64_t(p.oh) * p.ow * kBlock;
    threads.each(int64_t(p.n) * blocks_of(p.c), [&](int64_t task, int) {
        const float* plane = x_dot + task * p.ih * p.iw * kBlock;
        const int32_t* where = argmax + task * outputs;
        float* out = y_dot + task * outputs;
        for (int64_t k = 0; k < outputs; ++k) out[k] = plane[int64_t(where[k]) * kBlock + k % kBlock];
    });
}

void max_pool_vjp(Threads& threads, const Pool2d& p, const float* y_bar, const int32_t* argmax, float* x_bar,
                  bool accumulate) {
    const int64_t outputs = int64_t(p.oh) * p.ow * kBlock;
    threads.each(int64_t(p.n) * blocks_of(p.c), [&](int64_t task, int) {
        float* plane = x_bar + task * p.ih * p.iw * kBlock;
        const int32_t* where = argmax + task * outputs;
        const float* out = y_bar + task * outputs;
        if (!accumulate) std::memset(plane, 0, sizeof(float) * p.ih * p.iw * kBlock);
        for (int64_t k = 0; k < outputs; ++k) plane[int64_t(where[k]) * kBlock + k % kBlock] += out[k];
    });
}

}  // namespace lqf::cpu
