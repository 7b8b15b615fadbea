#include "cpu_ops.h"

namespace lqf::cpu {

double trace(Threads&, int64_t side, const double* a, double divisor) {
    double sum = 0;
    for (int64_t i = 0; i < side; ++i) sum += a[i * side + i] / divisor;
    return sum;
}

}  // namespace lqf::cpu
