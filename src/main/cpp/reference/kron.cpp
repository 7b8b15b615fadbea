// kron_input, kron_output: the Kronecker factors of one layer.
// Martens & Grosse 2015; expand and reduce: Eschenhagen et al. 2023, section 3.  Formulas: ops.h.
#include <vector>

#include "reference/reference.h"

namespace lqf::reference {
namespace {

// m [v.size, v.size] += weight v v^T
void add_outer(const std::vector<double>& v, double weight, double* m) {
    for (double a : v)
        for (double b : v) *m++ += weight * a * b;
}

// sum [patch + 1] += weight ã_t: the patch of x [ic,ih,iw] at output position t, in the order of w (ic,kh,kw), then 1
// for the bias.
void add_patch(const Conv2d& c, const float* x, int t, double weight, std::vector<double>& sum) {
    int64_t at = 0;
    for (int k = 0; k < c.ic; k++)
        for (int i = 0; i < c.kh; i++)
            for (int j = 0; j < c.kw; j++, at++) {
                int h = t / c.ow * c.stride + i - c.pad, v = t % c.ow * c.stride + j - c.pad;
                if (h >= 0 && h < c.ih && v >= 0 && v < c.iw) sum[at] += weight * x[(int64_t(k) * c.ih + h) * c.iw + v];
            }
    sum[at] += weight;
}

}  // namespace

void kron_input(Threads&, const Conv2d& c, const float* x, bool reduce, double* a) {
    const int positions = c.oh * c.ow;
    for (int image = 0; image < c.n; image++) {
        const float* xn = x + int64_t(image) * c.ic * c.ih * c.iw;
        std::vector<double> mean(c.patch() + 1);
        for (int t = 0; t < positions; t++) {
            std::vector<double> patch(c.patch() + 1);
            add_patch(c, xn, t, 1, patch);
            if (!reduce) add_outer(patch, 1, a);
            add_patch(c, xn, t, 1.0 / positions, mean);
        }
        if (reduce) add_outer(mean, 1, a);
    }
}

void kron_output(Threads&, const Conv2d& c, const float* y_bar, bool reduce, double* g) {
    const int positions = c.oh * c.ow;
    for (int image = 0; image < c.n; image++) {
        const float* yn = y_bar + int64_t(image) * c.oc * positions;
        std::vector<double> sum(c.oc);
        for (int t = 0; t < positions; t++) {
            std::vector<double> column(c.oc);
            for (int o = 0; o < c.oc; o++) sum[o] += column[o] = yn[int64_t(o) * positions + t];
            if (!reduce) add_outer(column, 1.0 / positions, g);
        }
        if (reduce) add_outer(sum, 1, g);
    }
}

}  // namespace lqf::reference
