// cholesky_solve: x = (L L^T)^-1 x, tile by tile of rows: forward with L, back with L^T.
#include "cholesky_tiles.cuh"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

// Rows of x in tiles as those of the matrix, columns in tiles of their own.
struct RightSide {
    int64_t columns;
    double* x;  // [side, columns]
    __device__ int64_t at(int tile, int row, int64_t column) const {
        return (int64_t(tile) * kTile + row) * columns + column;
    }
};

// x_k = L_kk^-1 x_k, or L_kk^-T x_k
template <bool kTransposed>
__global__ void __launch_bounds__(DoubleTile::kThreads) diagonal_kernel(CholeskyMatrix m, RightSide right, int k) {
    const int64_t first = int64_t(blockIdx.x) * kTile;
    DoubleTile tile;
    tile.accumulate(
        shared<DoubleTile::Shared>(), kTile / kDepth,
        Operand<double, !kTransposed>(m.diagonal + k * kTileEntries, kTile, kTile, kTile),
        Operand<double, false>(right.x + right.at(k, 0, first), right.columns, right.columns - first, m.left(k)));
    tile.for_each([&](int row, int column, double sum) {
        if (m.has(k, row) && first + column < right.columns) right.x[right.at(k, row, first + column)] = sum;
    });
}

// x_i -= L_ik x_k for i > k, or L_ki^T x_k for i < k
template <bool kTransposed>
__global__ void __launch_bounds__(DoubleTile::kThreads) update_kernel(CholeskyMatrix m, RightSide right, int k) {
    const int i = int(blockIdx.y) + (kTransposed ? 0 : k + 1);
    const int64_t first = int64_t(blockIdx.x) * kTile;
    DoubleTile tile;
    tile.accumulate(
        shared<DoubleTile::Shared>(), kTile / kDepth,
        Operand<double, !kTransposed>(m.a + (kTransposed ? m.at(k, 0, i, 0) : m.at(i, 0, k, 0)), m.side, m.left(i),
                                      m.left(k)),
        Operand<double, false>(right.x + right.at(k, 0, first), right.columns, right.columns - first, m.left(k)));
    tile.for_each([&](int row, int column, double sum) {
        if (m.has(i, row) && first + column < right.columns) right.x[right.at(i, row, first + column)] -= sum;
    });
}

}  // namespace

void cholesky_solve(Threads&, int64_t side, const double* l, int64_t columns, double* x) {
    const size_t diagonal = padded(CholeskyMatrix::working_bytes(side));
    const Scratch scratch(diagonal + sizeof(CholeskyMatrix));
    const CholeskyMatrix m{side,   const_cast<double*>(l), scratch.at<double>(0), nullptr, nullptr,
                           nullptr};  // is read only
    copy_in(scratch.at<CholeskyMatrix>(diagonal), &m, sizeof m);
    invert_diagonal({scratch.at<CholeskyMatrix>(diagonal), 1, m.tiles()});

    const RightSide right{columns, x};
    const auto column_tiles = unsigned(ceil_div<int64_t>(columns, kTile));
    const dim3 threads(DoubleTile::kThreads);
    const size_t bytes = sizeof(DoubleTile::Shared);
    for (int k = 0; k < m.tiles(); k++) {
        LQF_LAUNCH((diagonal_kernel<false>), dim3(column_tiles), threads, bytes, stream(), m, right, k);
        LQF_LAUNCH((update_kernel<false>), dim3(column_tiles, unsigned(m.tiles() - k - 1)), threads, bytes, stream(), m,
                   right, k);
    }
    for (int k = m.tiles() - 1; k >= 0; k--) {
        LQF_LAUNCH((diagonal_kernel<true>), dim3(column_tiles), threads, bytes, stream(), m, right, k);
        LQF_LAUNCH((update_kernel<true>), dim3(column_tiles, unsigned(k)), threads, bytes, stream(), m, right, k);
    }
}

}  // namespace lqf::gpu
