// subsample: y[before + k, i, j] = x[k, i stride, j stride], the other channels of y are zero.
// The option-A shortcut of He et al. 2016.
#include "reference/reference.h"

namespace lqf::reference {

void subsample(Threads& threads, const Subsample& s, const float* x, float* y) {
    threads.each(int64_t(s.n) * s.oc, [&](int64_t plane, int) {
        int64_t image = plane / s.oc, k = plane % s.oc - s.before;
        const float* xp = x + (image * s.c + k) * s.ih * s.iw;
        float* yp = y + plane * s.oh * s.ow;
        for (int i = 0; i < s.oh; i++)
            for (int j = 0; j < s.ow; j++) *yp++ = k >= 0 && k < s.c ? xp[i * s.stride * s.iw + j * s.stride] : 0;
    });
}

void subsample_vjp(Threads& threads, const Subsample& s, const float* y_bar, float* x_bar, bool accumulate) {
    threads.each(int64_t(s.n) * s.c, [&](int64_t plane, int) {
        int64_t image = plane / s.c, k = plane % s.c;
        const float* yp = y_bar + (image * s.oc + s.before + k) * s.oh * s.ow;
        float* xp = x_bar + plane * s.ih * s.iw;
        for (int h = 0; h < s.ih; h++)
            for (int v = 0; v < s.iw; v++) {
                bool taken = h % s.stride == 0 && v % s.stride == 0;
                put(*xp++, taken ? yp[h / s.stride * s.ow + v / s.stride] : 0, accumulate);
            }
    });
}

}  // namespace lqf::reference
