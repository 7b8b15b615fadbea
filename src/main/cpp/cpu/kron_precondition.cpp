#include <cblas.h>

#include <algorithm>
#include <cstring>

#include "cpu_ops.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

// c [m,n] = op(a) op(b)
void matmul(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, const float* a, const float* b,
            float* c) {
    cblas_sgemm(CblasRowMajor, a_transposed ? CblasTrans : CblasNoTrans, b_transposed ? CblasTrans : CblasNoTrans,
                int(m), int(n), int(k), 1.0f, a, int(a_transposed ? m : k), b, int(b_transposed ? k : n), 0.0f, c,
                int(n));
}

void precondition(const KronLayer& layer, double damping, const float* gradient, float* step) {
    const int64_t oc = layer.oc, in1 = layer.in1, in = in1 - 1;
    const bool exact = layer.left_values != nullptr;
    float *g = layer.scratch, *t = g + oc * in1;
    for (int64_t o = 0; o < oc; ++o) {
        std::memcpy(g + o * in1, gradient + layer.weight_offset + o * in, size_t(in) * sizeof(float));
        g[o * in1 + in] = gradient[layer.bias_offset + o];
    }
    matmul(false, false, oc, in1, oc, layer.left, g, t);
    matmul(false, exact, oc, in1, in1, t, layer.right, g);
    if (exact) {  // g is the gradient in the eigenbasis
        for (int64_t o = 0; o < oc; ++o) {
            const double left = std::max(layer.left_values[o], 0.0);
            for (int64_t i = 0; i < in1; ++i)
                g[o * in1 + i] =
                    float(double(g[o * in1 + i]) / (left * std::max(layer.right_values[i], 0.0) + damping));
        }
        matmul(true, false, oc, in1, oc, layer.left, g, t);
        matmul(false, false, oc, in1, in1, t, layer.right, g);
    }
    for (int64_t o = 0; o < oc; ++o) {
        std::memcpy(step + layer.weight_offset + o * in, g + o * in1, size_t(in) * sizeof(float));
        step[layer.bias_offset + o] = g[o * in1 + in];
    }
}

}  // namespace

void kron_precondition(Threads& threads, int count, const KronLayer* layers, double damping, const float* gradient,
                       float* step) {
    threads.each(count, [&](int64_t k, int) { precondition(layers[k], damping, gradient, step); });
}

}  // namespace lqf::cpu
