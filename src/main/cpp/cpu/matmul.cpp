#include <cblas.h>

#include "cpu_ops.h"

namespace lqf::cpu {

void matmul(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, const float* a, const float* b,
            float* c) {
    cblas_sgemm(CblasRowMajor, a_transposed ? CblasTrans : CblasNoTrans, b_transposed ? CblasTrans : CblasNoTrans,
                int(m), int(n), int(k), 1.0f, a, int(a_transposed ? m : k), b, int(b_transposed ? k : n), 0.0f, c,
                int(n));
}

}  // namespace lqf::cpu
