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

}  // namespace lqf::reference
