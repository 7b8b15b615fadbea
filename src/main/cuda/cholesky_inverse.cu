// cholesky_inverse: (L L^T)^-1 = X^T X with X = L^-1. X replaces L from the last column of tiles to the first; the product goes to the upper
// triangle, which until then nobody needs, and is mirrored at last.
#include "cholesky_tiles.cuh"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

// Diagonal tiles of a become those of X, zeros above.
__global__ void __launch_bounds__(kThreads) diagonal_kernel(const CholeskyMatrix* matrices) {
    const CholeskyMatrix& m = matrices[blockIdx.y];
    const int k = int(blockIdx.x);
    if (k >= m.tiles() || *m.pivot != 0) return;
    for (int entry = int(threadIdx.x); entry < kTileEntries; entry += kThreads) {
        const int row = entry / kTile, column = entry % kTile;
        if (m.has(k, row) && m.has(k, column)) m.a[m.at(k, row, k, column)] = m.diagonal[k * kTileEntries + entry];
    }
}

// panel_i = sum over k < j <= i of X_ij L_jk
__global__ void __launch_bounds__(DoubleTile::kThreads) panel_kernel(const CholeskyMatrix* matrices, int k) {
    const CholeskyMatrix& m = matrices[blockIdx.y];
    const int i = k + 1 + int(blockIdx.x);
    if (i >= m.tiles() || *m.pivot != 0) return;
    DoubleTile tile;
    tile.accumulate(shared<DoubleTile::Shared>(), (i - k) * (kTile / kDepth),
                    Operand<double, true>(m.a + m.at(i, 0, k + 1, 0), m.side, m.left(i), m.left(k + 1)),
                    Operand<double, false>(m.a + m.at(k + 1, 0, k, 0), m.side, kTile, m.left(k + 1)));
    double* panel = m.panel + i * kTileEntries;
    tile.for_each([&](int row, int column, double sum) { panel[row * kTile + column] = sum; });
}

// X_ik = -panel_i X_kk
__global__ void __launch_bounds__(DoubleTile::kThreads) column_kernel(const CholeskyMatrix* matrices, int k) {
    const CholeskyMatrix& m = matrices[blockIdx.y];
    const int i = k + 1 + int(blockIdx.x);
    if (i >= m.tiles() || *m.pivot != 0) return;
    DoubleTile tile;
    tile.accumulate(shared<DoubleTile::Shared>(), kTile / kDepth,
                    Operand<double, true>(m.panel + i * kTileEntries, kTile, kTile, kTile),
                    Operand<double, false>(m.diagonal + k * kTileEntries, kTile, kTile, kTile));
    tile.for_each([&](int row, int column, double sum) {
        if (m.has(i, row)) m.a[m.at(i, row, k, column)] = -sum;
    });
}

// Tile (j, i) of X^T X, j <= i: rows of X from tile i on. Diagonal tiles go to m.diagonal.
__global__ void __launch_bounds__(DoubleTile::kThreads) product_kernel(const CholeskyMatrix* matrices) {
    const CholeskyMatrix& m = matrices[blockIdx.y];
    const TrianglePlace place = triangle_place(blockIdx.x);
    const int i = place.row, j = place.column;
    if (i >= m.tiles() || *m.pivot != 0) return;
    DoubleTile tile;
    tile.accumulate(shared<DoubleTile::Shared>(), ceil_div<int64_t>(m.left(i), kDepth),
                    Operand<double, false>(m.a + m.at(i, 0, j, 0), m.side, m.left(j), m.left(i)),
                    Operand<double, false>(m.a + m.at(i, 0, i, 0), m.side, m.left(i), m.left(i)));
    tile.for_each([&](int row, int column, double sum) {
        if (i == j)
            m.diagonal[i * kTileEntries + row * kTile + column] = sum;
        else if (m.has(i, column))
            m.a[m.at(j, row, i, column)] = sum;
    });
}

struct MirrorShared {
    double tile[kTile][kTile + 1];
};

// The tile (j, i) that product_kernel left, and its transpose, to where they belong.
__global__ void __launch_bounds__(kThreads) mirror_kernel(const CholeskyMatrix* matrices) {
    const CholeskyMatrix& m = matrices[blockIdx.y];
    const TrianglePlace place = triangle_place(blockIdx.x);
    const int i = place.row, j = place.column;
    if (i >= m.tiles() || *m.pivot != 0) return;
    MirrorShared& s = shared<MirrorShared>();
    auto write = [&](int64_t at, double value) {
        if (m.out)
            m.out[at] = float(value);
        else
            m.a[at] = value;
    };
    for (int entry = int(threadIdx.x); entry < kTileEntries; entry += kThreads) {
        const int row = entry / kTile, column = entry % kTile;
        if (!m.has(j, row) || !m.has(i, column)) continue;
        const int64_t at = m.at(j, row, i, column);
        const int below = max(row, column) * kTile + min(row, column);  // both halves of a diagonal tile are this one
        const double value = i == j ? m.diagonal[i * kTileEntries + below] : m.a[at];
        s.tile[row][column] = value;
        write(at, value);
    }
    __syncthreads();
    if (i == j) return;
    for (int entry = int(threadIdx.x); entry < kTileEntries; entry += kThreads) {
        const int row = entry / kTile, column = entry % kTile;
        if (m.has(i, row)) write(m.at(i, row, j, column), s.tile[column][row]);
    }
}

}  // namespace

void invert(CholeskyBatch batch) {
    const auto count = unsigned(batch.count);
    const int tiles = batch.tiles;
    const dim3 pairs(unsigned(triangle_size(tiles)), count), threads(DoubleTile::kThreads);
    LQF_LAUNCH(diagonal_kernel, dim3(unsigned(tiles), count), dim3(kThreads), 0, stream(), batch.matrices);
    for (int k = tiles - 2; k >= 0; k--) {
        const dim3 below(unsigned(tiles - k - 1), count);
        LQF_LAUNCH(panel_kernel, below, threads, sizeof(DoubleTile::Shared), stream(), batch.matrices, k);
        LQF_LAUNCH(column_kernel, below, threads, sizeof(DoubleTile::Shared), stream(), batch.matrices, k);
    }
    LQF_LAUNCH(product_kernel, pairs, threads, sizeof(DoubleTile::Shared), stream(), batch.matrices);
    LQF_LAUNCH(mirror_kernel, pairs, dim3(kThreads), sizeof(MirrorShared), stream(), batch.matrices);
}

void cholesky_inverse(Threads&, int64_t side, double* l) {
    const size_t working = padded(CholeskyMatrix::working_bytes(side)), matrix = padded(sizeof(CholeskyMatrix));
    const Scratch scratch(2 * working + matrix + sizeof(int64_t));
    auto* pivot = scratch.at<int64_t>(2 * working + matrix);
    const CholeskyMatrix m{side, l, scratch.at<double>(0), scratch.at<double>(working), pivot, nullptr};
    copy_in(scratch.at<CholeskyMatrix>(2 * working), &m, sizeof m);
    CUDA_CHECK(cudaMemsetAsync(pivot, 0, sizeof(int64_t), stream()));
    const CholeskyBatch batch{scratch.at<CholeskyMatrix>(2 * working), 1, m.tiles()};
    invert_diagonal(batch);
    invert(batch);
}

}  // namespace lqf::gpu
