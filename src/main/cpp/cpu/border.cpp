// Plain order outside, the layout inside.
#include <cstring>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {

void import_images(Threads& threads, int n, int c, int h, int w, const float* images, float* x) {
    const int blocks = blocks_of(c);
    const int64_t pixels = int64_t(h) * w;
    threads.each(int64_t(n) * blocks, [&](int64_t task, int) {
        const int64_t image = task / blocks;
        const int first = int(task % blocks) * kBlock, channels = std::min(kBlock, c - first);
        const float* source = images + (image * c + first) * pixels;
        float* target = x + task * pixels * kBlock;
        if (channels < kBlock) std::memset(target, 0, pixels * kBlock * sizeof(float));
        for (int64_t p = 0; p < pixels; ++p)
            for (int k = 0; k < channels; ++k) target[p * kBlock + k] = source[k * pixels + p];
    });
}

void export_outputs(Threads&, int n, int c, const float* y, float* out) {
    const int64_t stride = int64_t(blocks_of(c)) * kBlock;
    for (int i = 0; i < n; ++i) std::memcpy(out + int64_t(i) * c, y + i * stride, c * sizeof(float));
}

void import_cotangent(Threads&, int n, int c, const float* u, float* y_bar) {
    const int64_t stride = int64_t(blocks_of(c)) * kBlock;
    std::memset(y_bar, 0, n * stride * sizeof(float));
    for (int i = 0; i < n; ++i) std::memcpy(y_bar + i * stride, u + int64_t(i) * c, c * sizeof(float));
}

}  // namespace lqf::cpu
