// spd_inverse: out = (a / divisor + shift I)^-1 of many matrices, in double throughout: factors are often nearly singular, and float would
// lose what the shift is there to keep.
#include <vector>

#include "cholesky_tiles.cuh"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

constexpr size_t kGroupBytes = size_t(256)
                               << 20;  // of the matrices that are worked on together, unless one alone is larger

// work = a / divisor + shift I
__global__ void __launch_bounds__(kThreads) prepare_kernel(const SpdInverse* problems, const CholeskyMatrix* matrices) {
    const SpdInverse& p = problems[blockIdx.y];
    const int64_t entry = global_thread();
    if (entry >= p.side * p.side) return;
    const double shift = entry / p.side == entry % p.side ? p.shift : 0;
    matrices[blockIdx.y].a[entry] = p.a[entry] / p.divisor + shift;
}

// Where a matrix's memory is in the scratch of its group.
struct Room {
    size_t matrix, working;
    explicit Room(int64_t side)
        : matrix(padded(size_t(side * side) * sizeof(double))), working(padded(CholeskyMatrix::working_bytes(side))) {}
    size_t bytes() const { return matrix + 2 * working; }
};

void invert_group(int count, const SpdInverse* problems, int64_t* pivots) {
    const size_t pivot_bytes = padded(size_t(count) * sizeof(int64_t)),
                 problem_bytes = padded(size_t(count) * sizeof(SpdInverse)),
                 matrix_bytes = padded(size_t(count) * sizeof(CholeskyMatrix));
    size_t bytes = pivot_bytes + problem_bytes + matrix_bytes;
    for (int i = 0; i < count; i++) bytes += Room(problems[i].side).bytes();
    const Scratch scratch(bytes);
    auto* pivot = scratch.at<int64_t>(0);
    auto* problem = scratch.at<SpdInverse>(pivot_bytes);
    auto* matrix = scratch.at<CholeskyMatrix>(pivot_bytes + problem_bytes);
    std::vector<CholeskyMatrix> matrices;
    size_t at = pivot_bytes + problem_bytes + matrix_bytes;
    for (int i = 0; i < count; i++) {
        const Room room(problems[i].side);
        matrices.push_back({problems[i].side, scratch.at<double>(at), scratch.at<double>(at + room.matrix),
                            scratch.at<double>(at + room.matrix + room.working), pivot + i, problems[i].out});
        at += room.bytes();
    }
    copy_in(problem, problems, size_t(count) * sizeof(SpdInverse));
    copy_in(matrix, matrices.data(), size_t(count) * sizeof(CholeskyMatrix));
    CUDA_CHECK(cudaMemsetAsync(pivot, 0, size_t(count) * sizeof(int64_t), stream()));
    const dim3 entries(grid_of(problems[0].side * problems[0].side).x, unsigned(count));
    LQF_LAUNCH(prepare_kernel, entries, dim3(kThreads), 0, stream(), problem, matrix);
    const CholeskyBatch batch{matrix, count, matrices[0].tiles()};
    factor(batch);
    invert(batch);
    copy_out(pivots, pivot, size_t(count) * sizeof(int64_t));
}

}  // namespace

void spd_inverse(Threads&, int count, const SpdInverse* matrices, int64_t* pivots) {
    for (int first = 0; first < count;) {
        size_t bytes = 0;
        int last = first;
        while (last < count && (last == first || bytes + Room(matrices[last].side).bytes() <= kGroupBytes))
            bytes += Room(matrices[last++].side).bytes();
        invert_group(last - first, matrices + first, pivots + first);
        first = last;
    }
}

}  // namespace lqf::gpu
