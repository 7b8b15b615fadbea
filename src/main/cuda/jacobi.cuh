// Eigenvectors of some symmetric matrices at a time by block Jacobi (Golub & Van Loan, section 8.5.6), in double.
//
// The indices form blocks of 16. In every round of a sweep the blocks are paired anew; each pair is a symmetric problem of side 32 on which
// one block of threads does one sweep of rotations in shared memory, 16 disjoint ones at a time; then all tiles turn with their pairs.
// Nothing depends on the order in which blocks run, so the bits are always the same.
#ifndef LQF_GPU_JACOBI_CUH
#define LQF_GPU_JACOBI_CUH

#include "backend.h"

namespace lqf::gpu {

struct JacobiProblem {
    int64_t side;
    const double* a;  // [side, side]
    double divisor;
    double* values;  // [side], ascending
    float* vectors;  // [side, side]: rows become eigenvectors of a / divisor; null: they go to rows
    double* rows;    // [side, side], may be a
};

// The largest first. failures [count], host: 0, or 1 for no convergence: the matrix is not finite.
void jacobi(int count, const JacobiProblem* problems, int64_t* failures);

}  // namespace lqf::gpu
#endif
