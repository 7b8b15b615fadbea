#include <cstring>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {

// Tasks are planes of 16 channels: [ih, iw, 16] to [oh, ow, 16].
void avg_pool(Threads& threads, const Pool2d& p, const float* x, float* y) {
    const float factor = 1.0f / float(p.kh * p.kw);
    threads.each(int64_t(p.n) * blocks_of(p.c), [&](int64_t task, int) {
        const float* plane = x + task * p.ih * p.iw * kBlock;
        float* out = y + task * p.oh * p.ow * kBlock;
        for (int r = 0; r < p.oh; ++r) {
            for (int q = 0; q < p.ow; ++q, out += kBlock) {
                float sum[kBlock] = {};
                for (int i = std::max(0, r * p.stride - p.pad); i < std::min(p.ih, r * p.stride - p.pad + p.kh); ++i)
                    for (int j = std::max(0, q * p.stride - p.pad); j < std::min(p.iw, q * p.stride - p.pad + p.kw);
                         ++j)
                        for (int lane = 0; lane < kBlock; ++lane)
                            sum[lane] += plane[(int64_t(i) * p.iw + j) * kBlock + lane];
                for (int lane = 0; lane < kBlock; ++lane) out[lane] = sum[lane] * factor;
            }
        }
    });
}

void avg_pool_vjp(Threads& threads, const Pool2d& p, const float* y_bar, float* x_bar, bool accumulate) {
    const float factor = 1.0f / float(p.kh * p.kw);
    threads.each(int64_t(p.n) * blocks_of(p.c), [&](int64_t task, int) {
        float* plane = x_bar + task * p.ih * p.iw * kBlock;
        const float* out = y_bar + task * p.oh * p.ow * kBlock;
        if (!accumulate) std::memset(plane, 0, sizeof(float) * p.ih * p.iw * kBlock);
        for (int r = 0; r < p.oh; ++r) {
            for (int q = 0; q < p.ow; ++q, out += kBlock) {
                for (int i = std::max(0, r * p.stride - p.pad); i < std::min(p.ih, r * p.stride - p.pad + p.kh); ++i)
                    for (int j = std::max(0, q * p.stride - p.pad); j < std::min(p.iw, q * p.stride - p.pad + p.kw);
                         ++j)
                        for (int lane = 0; lane < kBlock; ++lane)
                            plane[(int64_t(i) * p.iw + j) * kBlock + lane] += out[lane] * factor;
            }
        }
    });
}

}  // namespace lqf::cpu
