// avg_pool: y = (sum over the window) / (kh kw); padding counts as zeros.
// Global average pooling is the window of the whole image.
#include "reference/reference.h"

namespace lqf::reference {

void avg_pool(Threads& threads, const Pool2d& p, const float* x, float* y) {
    threads.each(int64_t(p.n) * p.c, [&](int64_t plane, int) {
        const float* xp = x + plane * p.ih * p.iw;
        float* yp = y + plane * p.oh * p.ow;
        for (int row = 0; row < p.oh; row++)
            for (int column = 0; column < p.ow; column++) {
                double sum = 0;
                for (int i = 0; i < p.kh; i++)
                    for (int j = 0; j < p.kw; j++) {
                        int h = row * p.stride + i - p.pad, v = column * p.stride + j - p.pad;
                        if (h >= 0 && h < p.ih && v >= 0 && v < p.iw) sum += xp[h * p.iw + v];
                    }
                *yp++ = float(sum / (double(p.kh) * p.kw));
            }
    });
}

void avg_pool_vjp(Threads& threads, const Pool2d& p, const float* y_bar, float* x_bar, bool accumulate) {
    threads.each(int64_t(p.n) * p.c, [&](int64_t plane, int) {
        const float* yp = y_bar + plane * p.oh * p.ow;
        float* xp = x_bar + plane * p.ih * p.iw;
        for (int h = 0; h < p.ih; h++)
            for (int v = 0; v < p.iw; v++) {
                double sum = 0;
                for (int i = 0; i < p.kh; i++)
                    for (int j = 0; j < p.kw; j++) {
                        int row = window_with(h, i, p.stride, p.pad, p.oh);
                        int column = window_with(v, j, p.stride, p.pad, p.ow);
                        if (row >= 0 && column >= 0) sum += yp[row * p.ow + column];
                    }
                put(*xp++, sum / (double(p.kh) * p.kw), accumulate);
            }
    });
}

}  // namespace lqf::reference
