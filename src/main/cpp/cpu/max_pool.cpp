#include <cstring>
#include <limits>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {

// Tasks are planes of 16 channels: [ih, iw, 16] to [oh, ow, 16]. argmax stands beside y and counts pixels of the plane.
void max_pool(Threads& threads, const Pool2d& p, const float* x, float* y, int32_t* argmax) {
    threads.each(int64_t(p.n) * blocks_of(p.c), [&](int64_t task, int) {
        const float* plane = x + task * p.ih * p.iw * kBlock;
        int64_t at = task * p.oh * p.ow * kBlock;
        for (int r = 0; r < p.oh; ++r) {
            for (int q = 0; q < p.ow; ++q, at += kBlock) {
                float best[kBlock];
                int32_t where[kBlock];
                std::fill_n(best, kBlock, -std::numeric_limits<float>::infinity());
                const int top = std::max(0, r * p.stride - p.pad), left = std::max(0, q * p.stride - p.pad);
                std::fill_n(where, kBlock, top * p.iw + left);
                for (int i = top; i < std::min(p.ih, r * p.stride - p.pad + p.kh); ++i) {
                    for (int j = left; j < std::min(p.iw, q * p.stride - p.pad + p.kw); ++j) {
                        const int32_t pixel = i * p.iw + j;
                        const float* value = plane + int64_t(pixel) * kBlock;
                        for (int lane = 0; lane < kBlock; ++lane) {
                            const bool better = value[lane] > best[lane];
                            best[lane] = better ? value[lane] : best[lane];
                            where[lane] = better ? pixel : where[lane];
                        }
                    }
                }
                std::memcpy(y + at, best, sizeof best);
                std::memcpy(argmax + at, where, sizeof where);
            }
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
