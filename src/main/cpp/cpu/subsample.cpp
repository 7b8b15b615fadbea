#include <cstring>

#include "cpu_ops.h"
#include "layout.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// Channel k of x is channel before + k of y: where before is no multiple of 16, lanes of a block of x go to two blocks of y.
struct Move {
    int x_block, y_block, x_lane, y_lane, lanes;
};

// Calls each for every run of lanes that moves as one.
template <class Each>
void each_move(const Subsample& s, Each each) {
    for (int k = 0; k < s.c;) {
        const int x_lane = k % kBlock, y_lane = (s.before + k) % kBlock;
        const int lanes = std::min({kBlock - x_lane, kBlock - y_lane, s.c - k});
        each(Move{k / kBlock, (s.before + k) / kBlock, x_lane, y_lane, lanes});
        k += lanes;
    }
}

}  // namespace

void subsample(Threads& threads, const Subsample& s, const float* x, float* y) {
    const Planes in = Planes::of(s.n, s.c, s.ih, s.iw), out = Planes::of(s.n, s.oc, s.oh, s.ow);
    threads.each(s.n, [&](int64_t image, int) {
        const float* from = x + image * in.image;
        float* to = y + image * out.image;
        std::memset(to, 0, out.image * sizeof(float));
        each_move(s, [&](const Move& m) {
            for (int r = 0; r < s.oh; ++r) {
                const float* source = from + m.x_block * in.block + int64_t(r) * s.stride * in.row + m.x_lane;
                float* target = to + m.y_block * out.block + r * out.row + m.y_lane;
                for (int q = 0; q < s.ow; ++q, source += s.stride * in.pixel, target += out.pixel)
                    std::memcpy(target, source, m.lanes * sizeof(float));
            }
        });
    });
}

void subsample_vjp(Threads& threads, const Subsample& s, const float* y_bar, float* x_bar, bool accumulate) {
    const Planes in = Planes::of(s.n, s.c, s.ih, s.iw), out = Planes::of(s.n, s.oc, s.oh, s.ow);
    threads.each(s.n, [&](int64_t image, int) {
        const float* from = y_bar + image * out.image;
        float* to = x_bar + image * in.image;
        if (!accumulate) std::memset(to, 0, in.image * sizeof(float));
        each_move(s, [&](const Move& m) {
            for (int r = 0; r < s.oh; ++r) {
                const float* source = from + m.y_block * out.block + r * out.row + m.y_lane;
                float* target = to + m.x_block * in.block + int64_t(r) * s.stride * in.row + m.x_lane;
                for (int q = 0; q < s.ow; ++q, source += out.pixel, target += s.stride * in.pixel)
                    for (int lane = 0; lane < m.lanes; ++lane) target[lane] += source[lane];
            }
        });
    });
}

}  // namespace lqf::cpu
