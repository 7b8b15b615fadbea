// cholesky: a + shift I = L L^T. Right-looking: factor a diagonal tile, solve the tiles below it, subtract their products from the tiles to
// the right (Golub & Van Loan, section 4.2.9).
#include <cfloat>

#include "cholesky_tiles.cuh"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

struct DiagonalShared {
    double l[kTile][kTile + 1];  // L below and on the diagonal; the inverse's entry (i, j) above it, at (j, i)
    double reciprocal[kTile];    // of the diagonal
    int failed;                  // 1-based pivot of this tile
};

// A thread for a row, kTile of them. Rows beyond the matrix are those of the identity.
__device__ void load_diagonal(DiagonalShared& s, const CholeskyMatrix& m, int k) {
    const int column = int(threadIdx.x);
    for (int row = 0; row < kTile; row++)
        s.l[row][column] = m.has(k, row) && column <= row ? m.a[m.at(k, row, k, column)] : double(row == column);
    if (column == 0) s.failed = 0;
    __syncthreads();
}

__device__ void factor_diagonal(DiagonalShared& s) {
    const int row = int(threadIdx.x);
    for (int j = 0; j < kTile; j++) {
        double sum = 0;
        if (row >= j) {
            sum = s.l[row][j];
            for (int k = 0; k < j; k++) sum -= s.l[row][k] * s.l[j][k];
        }
        if (row == j) {
            if (!(sum > 0 && sum <= DBL_MAX)) s.failed = j + 1;
            s.l[j][j] = sqrt(sum);
        }
        __syncthreads();
        if (s.failed) break;  // for all threads: it was written before the barrier
        if (row > j) s.l[row][j] = sum / s.l[j][j];
        __syncthreads();
    }
}

// Sets the tile of m.diagonal. A thread for a column of the inverse, which nobody else touches.
__device__ void write_inverse_diagonal(DiagonalShared& s, const CholeskyMatrix& m, int k) {
    const int column = int(threadIdx.x);
    s.reciprocal[column] = 1 / s.l[column][column];
    __syncthreads();
    double* inverse = s.l[column];  // entry (row, column) of it at [row] > column
    for (int row = column + 1; row < kTile; row++) {
        double sum = s.l[row][column] * s.reciprocal[column];
        for (int j = column + 1; j < row; j++) sum += s.l[row][j] * inverse[j];
        inverse[row] = -sum * s.reciprocal[row];
    }
    __syncthreads();
    double* out = m.diagonal + k * kTileEntries;
    for (int row = 0; row < kTile; row++)
        out[row * kTile + column] = column < row ? s.l[column][row] : column == row ? s.reciprocal[row] : 0.0;
}

__global__ void __launch_bounds__(kTile) diagonal_kernel(const CholeskyMatrix* matrices, int k) {
    const CholeskyMatrix& m = matrices[blockIdx.x];
    if (k >= m.tiles() || *m.pivot != 0) return;
    DiagonalShared& s = shared<DiagonalShared>();
    const int column = int(threadIdx.x);
    load_diagonal(s, m, k);
    factor_diagonal(s);
    if (s.failed) {
        if (column == 0) *m.pivot = int64_t(k) * kTile + s.failed;
        return;
    }
    for (int row = column; row < kTile; row++)
        if (m.has(k, row)) m.a[m.at(k, row, k, column)] = s.l[row][column];
    write_inverse_diagonal(s, m, k);
}

__global__ void __launch_bounds__(kTile) invert_diagonal_kernel(const CholeskyMatrix* matrices) {
    const CholeskyMatrix& m = matrices[blockIdx.y];
    const int k = int(blockIdx.x);
    if (k >= m.tiles()) return;
    DiagonalShared& s = shared<DiagonalShared>();
    load_diagonal(s, m, k);
    write_inverse_diagonal(s, m, k);
}

// L_ik = A_ik L_kk^-T for the tiles below the diagonal tile
__global__ void __launch_bounds__(DoubleTile::kThreads) panel_kernel(const CholeskyMatrix* matrices, int k) {
    const CholeskyMatrix& m = matrices[blockIdx.y];
    const int i = k + 1 + int(blockIdx.x);
    if (i >= m.tiles() || *m.pivot != 0) return;
    DoubleTile tile;
    tile.accumulate(shared<DoubleTile::Shared>(), kTile / kDepth,
                    Operand<double, true>(m.a + m.at(i, 0, k, 0), m.side, m.left(i), kTile),
                    Operand<double, true>(m.diagonal + k * kTileEntries, kTile, kTile, kTile));
    tile.for_each([&](int row, int column, double sum) {
        if (m.has(i, row)) m.a[m.at(i, row, k, column)] = sum;
    });
}

// A_ij -= L_ik L_jk^T for the tiles behind, i >= j > k
__global__ void __launch_bounds__(DoubleTile::kThreads) update_kernel(const CholeskyMatrix* matrices, int k) {
    const CholeskyMatrix& m = matrices[blockIdx.y];
    const TrianglePlace place = triangle_place(blockIdx.x);
    const int i = k + 1 + place.row, j = k + 1 + place.column;
    if (i >= m.tiles() || *m.pivot != 0) return;
    DoubleTile tile;
    tile.accumulate(shared<DoubleTile::Shared>(), kTile / kDepth,
                    Operand<double, true>(m.a + m.at(i, 0, k, 0), m.side, m.left(i), kTile),
                    Operand<double, true>(m.a + m.at(j, 0, k, 0), m.side, m.left(j), kTile));
    tile.for_each([&](int row, int column, double sum) {
        if (m.has(i, row) && (i > j || column <= row)) m.a[m.at(i, row, j, column)] -= sum;
    });
}

__global__ void shift_kernel(int64_t side, double* a, double shift) {
    const int64_t i = global_thread();
    if (i < side) a[i * side + i] += shift;
}

}  // namespace

void factor(CholeskyBatch batch) {
    const auto count = unsigned(batch.count);
    const int tiles = batch.tiles;
    for (int k = 0; k < tiles; k++) {
        const int below = tiles - k - 1;
        LQF_LAUNCH(diagonal_kernel, dim3(count), dim3(kTile), sizeof(DiagonalShared), stream(), batch.matrices, k);
        LQF_LAUNCH(panel_kernel, dim3(unsigned(below), count), dim3(DoubleTile::kThreads), sizeof(DoubleTile::Shared),
                   stream(), batch.matrices, k);
        LQF_LAUNCH(update_kernel, dim3(unsigned(triangle_size(below)), count), dim3(DoubleTile::kThreads),
                   sizeof(DoubleTile::Shared), stream(), batch.matrices, k);
    }
}

void invert_diagonal(CholeskyBatch batch) {
    LQF_LAUNCH(invert_diagonal_kernel, dim3(unsigned(batch.tiles), unsigned(batch.count)), dim3(kTile),
               sizeof(DiagonalShared), stream(), batch.matrices);
}

int64_t cholesky(Threads&, int64_t side, double* a, double shift) {
    const size_t diagonal = padded(CholeskyMatrix::working_bytes(side)), matrix = padded(sizeof(CholeskyMatrix));
    const Scratch scratch(diagonal + matrix + sizeof(int64_t));
    auto* pivot = scratch.at<int64_t>(diagonal + matrix);
    const CholeskyMatrix m{side, a, scratch.at<double>(0), nullptr, pivot, nullptr};
    copy_in(scratch.at<CholeskyMatrix>(diagonal), &m, sizeof m);
    CUDA_CHECK(cudaMemsetAsync(pivot, 0, sizeof(int64_t), stream()));
    LQF_LAUNCH(shift_kernel, grid_of(side), dim3(kThreads), 0, stream(), side, a, shift);
    factor({scratch.at<CholeskyMatrix>(diagonal), 1, m.tiles()});
    int64_t failed;
    copy_out(&failed, pivot, sizeof failed);
    return failed;
}

}  // namespace lqf::gpu
