// Vector algebra, one loop each.
#include "reference/reference.h"

namespace lqf::reference {

void fill(Threads&, int64_t n, float value, float* x) {
    for (int64_t i = 0; i < n; i++) x[i] = value;
}

void copy(Threads&, int64_t n, const float* x, float* y) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i];
}

void scale(Threads&, int64_t n, float a, float* x) {
    for (int64_t i = 0; i < n; i++) x[i] *= a;
}

void axpy(Threads&, int64_t n, float a, const float* x, float* y) {
    for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

double dot(Threads&, int64_t n, const float* x, const float* y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += double(x[i]) * y[i];
    return sum;
}

void scale_doubles(Threads&, int64_t n, double a, double* x) {
    for (int64_t i = 0; i < n; i++) x[i] *= a;
}

void add_doubles(Threads&, int64_t n, int count, const double* x, int64_t stride, double* y) {
    for (int k = 0; k < count; k++)
        for (int64_t i = 0; i < n; i++) y[i] += x[k * stride + i];
}

}  // namespace lqf::reference
