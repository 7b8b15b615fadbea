// kron_input, kron_output, kron_precondition: the Kronecker factors of one layer, and what their inverse makes of a gradient.
// Martens & Grosse 2015; expand and reduce: Eschenhagen et al. 2023, section 3.  Formulas: ops.h.
#include <algorithm>
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

// c [m,n] = op(a) op(b)
void matmul(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, const float* a, const float* b,
            float* c) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum +=
                    double(a_transposed ? a[l * m + i] : a[i * k + l]) * (b_transposed ? b[j * k + l] : b[l * n + j]);
            c[i * n + j] = float(sum);
        }
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

void kron_output(Threads&, const Conv2d& c, const float* y_bar, bool reduce, double* g, int64_t image_stride) {
    const int positions = c.oh * c.ow;
    for (int image = 0; image < c.n; image++) {
        const float* yn = y_bar + int64_t(image) * c.oc * positions;
        double* to = g + image * image_stride;
        std::vector<double> sum(c.oc);
        for (int t = 0; t < positions; t++) {
            std::vector<double> column(c.oc);
            for (int o = 0; o < c.oc; o++) sum[o] += column[o] = yn[int64_t(o) * positions + t];
            if (!reduce) add_outer(column, 1.0 / positions, to);
        }
        if (reduce) add_outer(sum, 1, to);
    }
}

void kron_precondition(Threads&, int count, const KronLayer* layers, double damping, const float* gradient,
                       float* step) {
    for (const KronLayer* layer = layers; layer < layers + count; layer++) {
        const int64_t oc = layer->oc, in1 = layer->in1, in = in1 - 1;
        const bool exact = layer->left_values != nullptr;
        const float *left = layer->left, *right = layer->right;
        float *g = layer->scratch, *t = g + oc * in1;
        for (int64_t k = 0; k < oc * in1; k++) {
            const int64_t o = k / in1, i = k % in1;
            g[k] = i < in ? gradient[layer->weight_offset + o * in + i] : gradient[layer->bias_offset + o];
        }
        matmul(false, false, oc, in1, oc, left, g, t);
        matmul(false, exact, oc, in1, in1, t, right, g);
        if (exact) {  // g is the gradient in the eigenbasis
            for (int64_t k = 0; k < oc * in1; k++) {
                const double l = layer->left_values[k / in1], r = layer->right_values[k % in1];
                g[k] = float(g[k] / (std::max(l, 0.0) * std::max(r, 0.0) + damping));
            }
            matmul(true, false, oc, in1, oc, left, g, t);
            matmul(false, false, oc, in1, in1, t, right, g);
        }
        for (int64_t k = 0; k < oc * in1; k++) {
            const int64_t o = k / in1, i = k % in1;
            step[i < in ? layer->weight_offset + o * in + i : layer->bias_offset + o] = g[k];
        }
    }
}

}  // namespace lqf::reference
