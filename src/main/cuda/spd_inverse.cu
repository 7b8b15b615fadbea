// spd_inverse: out = (a / divisor + shift I)^-1 of many matrices, in double throughout: factors are often nearly singular, and float would
// lose what the shift is there to keep.
#include <algorithm>

#include "cholesky_tiles.cuh"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

constexpr size_t kGroupBytes = size_t(256)
                               << 20;  // of the matrices that are worked on together, unless one alone is larger

struct Problems {
    SpdInverse problem[CholeskyBatch::kMost];
};

// work = a / divisor + shift I
__global__ void __launch_bounds__(kThreads) prepare_kernel(Problems problems, CholeskyBatch batch) {
    const SpdInverse& p = problems.problem[blockIdx.y];
    const int64_t entry = global_thread();
    if (entry >= p.side * p.side) return;
    const double shift = entry / p.side == entry % p.side ? p.shift : 0;
    batch.matrix[blockIdx.y].a[entry] = p.a[entry] / p.divisor + shift;
}

// Where a matrix's memory is in the scratch of its group.
struct Room {
    size_t matrix, working;
    explicit Room(int64_t side)
        : matrix(padded(size_t(side * side) * sizeof(double))), working(padded(CholeskyMatrix::working_bytes(side))) {}
    size_t bytes() const { return matrix + 2 * working; }
};

void invert_group(int count, const SpdInverse* matrices, int64_t* pivots) {
    size_t bytes = padded(size_t(count) * sizeof(int64_t));
    for (int i = 0; i < count; i++) bytes += Room(matrices[i].side).bytes();
    const Scratch scratch(bytes);
    auto* pivot = scratch.at<int64_t>(0);
    CUDA_CHECK(cudaMemsetAsync(pivot, 0, size_t(count) * sizeof(int64_t), stream()));
    Problems problems{};
    CholeskyBatch batch{};
    batch.count = count;
    size_t at = padded(size_t(count) * sizeof(int64_t));
    for (int i = 0; i < count; i++) {
        const Room room(matrices[i].side);
        problems.problem[i] = matrices[i];
        batch.matrix[i] = {matrices[i].side,
                           scratch.at<double>(at),
                           scratch.at<double>(at + room.matrix),
                           scratch.at<double>(at + room.matrix + room.working),
                           pivot + i,
                           matrices[i].out};
        at += room.bytes();
    }
    const dim3 entries = grid_of(matrices[0].side * matrices[0].side);
    LQF_LAUNCH(prepare_kernel, dim3(entries.x, unsigned(count)), dim3(kThreads), 0, stream(), problems, batch);
    factor(batch);
    invert(batch);
    copy_out(pivots, pivot, size_t(count) * sizeof(int64_t));
}

}  // namespace

void spd_inverse(Threads&, int count, const SpdInverse* matrices, int64_t* pivots) {
    for (int first = 0; first < count;) {
        size_t bytes = 0;
        int last = first;
        while (last < count && last - first < CholeskyBatch::kMost &&
               (last == first || bytes + Room(matrices[last].side).bytes() <= kGroupBytes))
            bytes += Room(matrices[last++].side).bytes();
        invert_group(last - first, matrices + first, pivots + first);
        first = last;
    }
}

}  // namespace lqf::gpu
