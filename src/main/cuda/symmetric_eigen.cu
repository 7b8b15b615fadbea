// symmetric_eigen: eigenvectors of many a / divisor in float, found in double.
#include <vector>

#include "backend.h"
#include "jacobi.cuh"

namespace lqf::gpu {

void symmetric_eigen(Threads&, int count, const SymmetricEigen* matrices, int64_t* failures) {
    std::vector<JacobiProblem> problems;
    for (const SymmetricEigen* m = matrices; m < matrices + count; m++)
        problems.push_back({m->side, m->a, m->divisor, m->values, m->vectors, nullptr});
    jacobi(count, problems.data(), failures);
}

}  // namespace lqf::gpu
