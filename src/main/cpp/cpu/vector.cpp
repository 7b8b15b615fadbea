#include <cstring>
#include <vector>

#include "chunks.h"
#include "cpu_ops.h"

namespace lqf::cpu {

void fill(Threads& threads, int64_t n, float value, float* x) {
    each_chunk(threads, n, [&](int64_t first, int64_t count) { std::fill_n(x + first, count, value); });
}

void copy_floats(Threads& threads, int64_t n, const float* x, float* y) {
    each_chunk(threads, n,
               [&](int64_t first, int64_t count) { std::memmove(y + first, x + first, count * sizeof(float)); });
}

void scale(Threads& threads, int64_t n, float a, float* x) {
    each_chunk(threads, n, [&](int64_t first, int64_t count) { kernels().scale(count, a, x + first); });
}

void axpy(Threads& threads, int64_t n, float a, const float* x, float* y) {
    each_chunk(threads, n, [&](int64_t first, int64_t count) { kernels().axpy(count, a, x + first, y + first); });
}

// Chunk sums in double, added from the first to the last.
double dot(Threads& threads, int64_t n, const float* x, const float* y) {
    std::vector<double> sums((n + kChunk - 1) / kChunk);
    each_chunk(threads, n, [&](int64_t first, int64_t count) {
        sums[first / kChunk] = kernels().dot(count, x + first, y + first);
    });
    double sum = 0;
    for (double s : sums) sum += s;
    return sum;
}

void scale_doubles(Threads& threads, int64_t n, double a, double* x) {
    each_chunk(threads, n, [&](int64_t first, int64_t count) {
        for (int64_t i = first; i < first + count; ++i) x[i] *= a;
    });
}

void add_doubles(Threads& threads, int64_t n, int count, const double* x, int64_t stride, double* y) {
    each_chunk(threads, n, [&](int64_t first, int64_t length) {
        for (int k = 0; k < count; ++k)
            for (int64_t i = first; i < first + length; ++i) y[i] += x[k * stride + i];
    });
}

}  // namespace lqf::cpu
