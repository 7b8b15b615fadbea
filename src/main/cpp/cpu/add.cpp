#include "chunks.h"
#include "cpu_ops.h"

namespace lqf::cpu {

void add(Threads& threads, int64_t count, const float* a, const float* b, float* y) {
    each_chunk(threads, count, [&](int64_t first, int64_t n) { kernels().add(n, a + first, b + first, y + first); });
}

}  // namespace lqf::cpu
