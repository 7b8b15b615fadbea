// max_pool: y = largest value of the window; the first one wins, padding is minus infinity.
// argmax [n,c,oh,ow] is its h * iw + w.
#include "reference/reference.h"

namespace lqf::reference {

void max_pool(Threads& threads, const Pool2d& p, const float* x, float* y, int32_t* argmax) {
    threads.each(int64_t(p.n) * p.c, [&](int64_t plane, int) {
        const float* xp = x + plane * p.ih * p.iw;
        int64_t out = plane * p.oh * p.ow;
        for (int row = 0; row < p.oh; row++)
            for (int column = 0; column < p.ow; column++, out++) {
                int32_t best = -1;  // every window holds a pixel: the plan checks that pad < kernel
                for (int i = 0; i < p.kh; i++)
                    for (int j = 0; j < p.kw; j++) {
                        int h = row * p.stride + i - p.pad, v = column * p.stride + j - p.pad;
                        if (h < 0 || h >= p.ih || v < 0 || v >= p.iw) continue;
                        if (best < 0 || xp[h * p.iw + v] > xp[best]) best = h * p.iw + v;
                    }
                y[out] = xp[best];
                argmax[out] = best;
            }
    });
}

void max_pool_jvp(Threads& threads, const Pool2d& p, const float* x_dot, const int32_t* argmax, float* y_dot) {
    threads.each(int64_t(p.n) * p.c, [&](int64_t plane, int) {
        int64_t out = plane * p.oh * p.ow;
        for (int t = 0; t < p.oh * p.ow; t++) y_dot[out + t] = x_dot[plane * p.ih * p.iw + argmax[out + t]];
    });
}

// x_bar at a pixel: the sum of y_bar over the windows that chose it.
void max_pool_vjp(Threads& threads, const Pool2d& p, const float* y_bar, const int32_t* argmax, float* x_bar,
                  bool accumulate) {
    threads.each(int64_t(p.n) * p.c, [&](int64_t plane, int) {
        float* xp = x_bar + plane * p.ih * p.iw;
        for (int pixel = 0; pixel < p.ih * p.iw; pixel++) {
            double sum = 0;
            for (int i = 0; i < p.kh; i++)
                for (int j = 0; j < p.kw; j++) {
                    int row = window_with(pixel / p.iw, i, p.stride, p.pad, p.oh);
                    int column = window_with(pixel % p.iw, j, p.stride, p.pad, p.ow);
                    int64_t out = (plane * p.oh + row) * p.ow + column;
                    if (row >= 0 && column >= 0 && argmax[out] == pixel) sum += y_bar[out];
                }
            put(xp[pixel], sum, accumulate);
        }
    });
}

}  // namespace lqf::reference
