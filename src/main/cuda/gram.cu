// gram: out = a b^T, rows millions of floats long. Float products over chunks of the rows are kept apart as partial tiles; a second kernel
// adds them in double, in order.
#include <algorithm>

#include "backend.h"
#include "product_tile.cuh"

namespace lqf::gpu {
namespace {

using Tile = ProductTile<float>;
constexpr int64_t kChunk = 4096;              // of the length
constexpr int64_t kPartialFloats = 16 << 20;  // of the partial tiles of some chunks: 64 MB
constexpr int kReduceThreads = 256, kTileEntries = kTile * kTile;

struct Rows {
    int64_t a_rows, b_rows, length;
    const float *a, *b;
    bool triangle;  // only tiles whose column is not less than their row

    __host__ __device__ int64_t across() const { return ceil_div<int64_t>(b_rows, kTile); }
    int64_t tiles() const { return triangle ? triangle_size(across()) : across() * ceil_div<int64_t>(a_rows, kTile); }
    __device__ TrianglePlace place(int64_t tile) const {
        if (!triangle) return {int(tile / across()), int(tile % across())};
        const TrianglePlace below = triangle_place(tile);
        return {below.column, below.row};
    }
};

// partial [chunk, tile, 64, 64], chunks from `first` on
__global__ void __launch_bounds__(Tile::kThreads, 6) partial_kernel(Rows r, int64_t first, float* partial) {
    const TrianglePlace place = r.place(blockIdx.x);
    const int64_t start = (first + blockIdx.y) * kChunk, count = min(kChunk, r.length - start);
    const int64_t row = int64_t(place.row) * kTile, column = int64_t(place.column) * kTile;
    Tile tile;
    tile.accumulate(shared<Tile::Shared>(), ceil_div<int64_t>(count, kDepth),
                    Operand<float, true>(r.a + row * r.length + start, r.length, r.a_rows - row, count),
                    Operand<float, true>(r.b + column * r.length + start, r.length, r.b_rows - column, count));
    float* out = partial + (int64_t(blockIdx.y) * gridDim.x + blockIdx.x) * kTileEntries;
    tile.for_each([&](int row, int column, float sum) { out[row * kTile + column] = sum; });
}

// out = (or +=) the partial sums of chunks, in order
__global__ void __launch_bounds__(kReduceThreads)
    reduce_kernel(Rows r, int chunks, bool accumulate, const float* partial, double* out, double* mirrored,
                  int64_t stride) {
    const TrianglePlace place = r.place(blockIdx.x);
    const int entry = int(blockIdx.y) * kReduceThreads + int(threadIdx.x);
    const int64_t i = int64_t(place.row) * kTile + entry / kTile, j = int64_t(place.column) * kTile + entry % kTile;
    if (i >= r.a_rows || j >= r.b_rows || (r.triangle && j < i)) return;
    partial += int64_t(blockIdx.x) * kTileEntries + entry;
    double sum = accumulate ? out[i * stride + j] : 0;
    for (int chunk = 0; chunk < chunks; chunk++) sum += double(partial[int64_t(chunk) * gridDim.x * kTileEntries]);
    out[i * stride + j] = sum;
    if (mirrored) mirrored[j * stride + i] = sum;
}

}  // namespace

void gram(Threads&, int64_t a_rows, int64_t b_rows, int64_t length, const float* a, const float* b, bool add,
          double* out, double* mirrored, int64_t stride) {
    const Rows rows{a_rows, b_rows, length, a, b, mirrored == out};
    const int64_t chunks = ceil_div(length, kChunk), tiles = rows.tiles();
    if (tiles == 0) return;
    const int64_t group =
        std::clamp<int64_t>(kPartialFloats / (tiles * kTileEntries), 1, std::min<int64_t>(chunks, 65535));
    const Scratch scratch(size_t(group * tiles * kTileEntries) * sizeof(float));
    for (int64_t first = 0; first < chunks; first += group) {
        const int64_t count = std::min(group, chunks - first);
        LQF_LAUNCH(partial_kernel, dim3(unsigned(tiles), unsigned(count)), dim3(Tile::kThreads), sizeof(Tile::Shared),
                   stream(), rows, first, scratch.at<float>(0));
        LQF_LAUNCH(reduce_kernel, dim3(unsigned(tiles), kTileEntries / kReduceThreads), dim3(kReduceThreads), 0,
                   stream(), rows, int(count), add || first > 0, scratch.at<float>(0), out, mirrored, stride);
    }
}

}  // namespace lqf::gpu
