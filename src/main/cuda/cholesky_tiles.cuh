// Cholesky in tiles of 64 x 64, in double, for some matrices at a time: step k of all of them is one launch, so that many small layers cost
// what one does. Every product is a ProductTile; the diagonal tiles of L are inverted explicitly, so that solving with them is a product, too.
#ifndef LQF_GPU_CHOLESKY_TILES_CUH
#define LQF_GPU_CHOLESKY_TILES_CUH

#include "backend.h"
#include "product_tile.cuh"

namespace lqf::gpu {

using DoubleTile = ProductTile<double>;
constexpr int64_t kTileEntries = kTile * kTile;

// One matrix and its working memory.
struct CholeskyMatrix {
    int64_t side;
    double* a;         // [side, side], the lower triangle counts
    double* diagonal;  // [tiles, 64, 64]: inverses of L's diagonal tiles, zeros above
    double* panel;     // [tiles, 64, 64], of invert
    int64_t* pivot;    // 0, or the 1-based pivot that was not positive: from then on nothing happens to this matrix
    float* out;        // [side, side]: where invert writes; null: a

    __host__ __device__ int tiles() const { return int(ceil_div<int64_t>(side, kTile)); }
    // Matrix of tile row i and column j, at its entry (row, column); not every one is in the matrix.
    __device__ int64_t at(int i, int row, int j, int column) const {
        return (int64_t(i) * kTile + row) * side + int64_t(j) * kTile + column;
    }
    __device__ bool has(int i, int row) const { return row < left(i); }
    __device__ int64_t left(int i) const { return side - int64_t(i) * kTile; }  // rows from tile i on

    static size_t working_bytes(int64_t side) {  // of diagonal and of panel
        return size_t(ceil_div<int64_t>(side, kTile) * kTileEntries) * sizeof(double);
    }
};

struct CholeskyBatch {
    const CholeskyMatrix* matrices;  // device memory, the largest first
    int count, tiles;                // tiles: of the largest
};

// a becomes L in its lower triangle, what is above stays; sets diagonal and, on failure, pivot.
void factor(CholeskyBatch batch);
// Sets diagonal from L.
void invert_diagonal(CholeskyBatch batch);
// a or out becomes the full (L L^T)^-1; a and diagonal as factor or invert_diagonal left them. a is destroyed.
void invert(CholeskyBatch batch);

}  // namespace lqf::gpu
#endif
