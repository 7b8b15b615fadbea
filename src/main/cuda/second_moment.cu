// One image's products are float sums over positions, kept apart as partial tiles; a second kernel adds them to the double entries image
// by image, so that the bits do not depend on how images are split into batches.
#include <algorithm>

#include "backend.h"
#include "layout.cuh"
#include "product_tile.cuh"
#include "second_moment.cuh"

namespace lqf::gpu {
namespace {

constexpr int kQuads = kTile / kBlock;  // of a tile
constexpr int kBlocksWanted = 256,
              kMinPart = 256;  // an image's positions are shared by enough blocks, but not too finely
constexpr int kReduceThreads = 256;
using Tile = ProductTile<float>;

// Patches with what follows from them.
struct Shape {
    Patches p;
    int taps, blocks, quads, side, positions;  // quads: also of the 1
    int tiles, parts, part;                    // parts of `part` positions
    int64_t image, plane;                      // floats of x

    explicit Shape(const Patches& patches)
        : p(patches),
          taps(p.kh * p.kw),
          blocks(blocks_of(p.c)),
          quads(taps * blocks + (p.has_one ? 1 : 0)),
          side(p.c * taps + (p.has_one ? 1 : 0)),
          positions(p.oh * p.ow),
          tiles(ceil_div(quads, kQuads)),
          image(int64_t(padded_channels(p.c)) * p.h * p.w),
          plane(int64_t(p.h) * p.w * kBlock) {
        const int64_t wanted = std::max<int64_t>(kBlocksWanted / pairs(), 1);
        parts = int(std::min<int64_t>(wanted, ceil_div(positions, kMinPart)));
        part = ceil_div(ceil_div(positions, parts), kDepth) * kDepth;
        parts = ceil_div(positions, part);
    }
    int64_t pairs() const { return triangle_size(tiles); }
    int tile_rows() const { return std::min(kTile, quads * kBlock); }           // that are more than padding
    int64_t partial_floats() const { return pairs() * parts * kTile * kTile; }  // of one image

    // Row of component `lane` of a quad in the matrix, or -1: a channel that is not there.
    __device__ int row(int quad, int lane) const {
        if (quad >= taps * blocks) return quad < quads && lane == 0 ? side - 1 : -1;
        const int channel = quad % blocks * kBlock + lane;
        return channel < p.c ? channel * taps + quad / blocks : -1;
    }
};

// 16 quads of the patches, an operand of ProductTile: depth is position. A thread has one position of a step and four quads, so that
// neighbouring threads read neighbouring pixels.
class QuadOperand {
public:
    static constexpr int kItems = kQuads * kDepth / Tile::kThreads, kStride = Tile::kThreads / kDepth;
    struct Registers {
        float4 quad[kItems];
    };

    __device__ QuadOperand(const Shape& s, const float* x /*of the image*/, int tile, int first, int last)
        : s_(s), x_(x), first_(first), last_(last) {
#pragma unroll
        for (int item = 0; item < kItems; item++) {
            const int quad = tile * kQuads + in_tile(item), tap = quad / s.blocks;
            if (quad < s.taps * s.blocks) {
                dy_[item] = tap / s.p.kw - s.p.pad;
                dx_[item] = tap % s.p.kw - s.p.pad;
                offset_[item] = int(quad % s.blocks * s.plane) + (dy_[item] * s.p.w + dx_[item]) * kBlock;
            } else {  // the 1, or nothing: no pixel is in reach
                dy_[item] = dx_[item] = s.p.has_one && quad == s.taps * s.blocks ? kOne : kNothing;
                offset_[item] = 0;
            }
        }
    }

    __device__ void load(int64_t step, Registers& r) const {
        const int position = first_ + int(step) * kDepth + in_step();
        const int y = position / s_.p.ow * s_.p.stride, x = position % s_.p.ow * s_.p.stride;
        const float* pixel = x_ + (int64_t(y) * s_.p.w + x) * kBlock;
#pragma unroll
        for (int item = 0; item < kItems; item++) {
            r.quad[item] = zero4();
            if (position >= last_) continue;
            const int h = y + dy_[item], w = x + dx_[item];
            if (dy_[item] == kOne)
                r.quad[item].x = 1;
            else if (h >= 0 && h < s_.p.h && w >= 0 && w < s_.p.w)
                r.quad[item] = ld4(pixel + offset_[item]);
        }
    }
    __device__ void store(const Registers& r, Tile::Buffer& buffer) const {
#pragma unroll
        for (int item = 0; item < kItems; item++) st4(&buffer[in_step()][in_tile(item) * kBlock], r.quad[item]);
    }

private:
    static constexpr int kOne = -(1 << 29), kNothing = -(1 << 30);
    __device__ static int in_step() { return int(threadIdx.x) % kDepth; }
    __device__ static int in_tile(int item) { return item * kStride + int(threadIdx.x) / kDepth; }

    Shape s_;
    const float* x_;
    int first_, last_;
    int dy_[kItems], dx_[kItems], offset_[kItems];
};

// partial [image, part, pair, 64, 64]: float products of one part of one image's positions
__global__ void __launch_bounds__(Tile::kThreads) partial_kernel(Shape s, const float* x, float* partial) {
    const int64_t pairs = gridDim.x, pair = blockIdx.x, part = blockIdx.y, image = blockIdx.z;
    const TrianglePlace at = triangle_place(pair);
    const int first = int(part) * s.part, last = min(s.positions, first + s.part);
    Tile tile;
    tile.accumulate(shared<Tile::Shared>(), ceil_div(last - first, kDepth),
                    QuadOperand(s, x + image * s.image, at.row, first, last),
                    QuadOperand(s, x + image * s.image, at.column, first, last));
    float* out = partial + ((image * s.parts + part) * pairs + pair) * (kTile * kTile);
#pragma unroll
    for (int i = 0; i < Tile::kRows; i++)
#pragma unroll
        for (int j = 0; j < Tile::kColumns; j += Tile::kWord)
            st4(out + Tile::row(i) * kTile + Tile::column(j),
                make_float4(tile.sum[i][j], tile.sum[i][j + 1], tile.sum[i][j + 2], tile.sum[i][j + 3]));
}

// a += the partial sums of images, in order; each entry and its mirror by one thread
__global__ void __launch_bounds__(kReduceThreads)
    reduce_kernel(Shape s, int images, const float* partial, double divisor, double* a, int64_t image_stride) {
    const int64_t pairs = gridDim.x;
    const TrianglePlace at = triangle_place(blockIdx.x);
    const int entry = int(blockIdx.y) * kReduceThreads + int(threadIdx.x), i = entry / kTile, j = entry % kTile;
    if (at.row == at.column && j > i) return;
    const int row = s.row(at.row * kQuads + i / kBlock, i % kBlock);
    const int column = s.row(at.column * kQuads + j / kBlock, j % kBlock);
    if (row < 0 || column < 0) return;
    const int64_t here = int64_t(row) * s.side + column, mirror = int64_t(column) * s.side + row;
    partial += blockIdx.x * (kTile * kTile) + entry;
    double total = a[here];
    for (int image = 0; image < images; image++) {
        double sum = 0;
        for (int part = 0; part < s.parts; part++, partial += pairs * (kTile * kTile)) sum += double(*partial);
        total += sum / divisor;
        if (image_stride == 0 && image + 1 < images) continue;
        a[here] = a[mirror] = total;
        a += image_stride;
        if (image + 1 < images) total = a[here];
    }
}

// sums [n, side]: of every image's patches over positions / divisor; a warp for a quad
__global__ void __launch_bounds__(kThreads) sums_kernel(Shape s, const float* x, float divisor, float* sums) {
    const int quad = int(blockIdx.x) * (kThreads / 32) + int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    if (quad >= s.quads) return;  // a whole warp
    const int64_t image = blockIdx.y;
    float* out = sums + image * s.side;
    if (quad == s.taps * s.blocks) {
        if (lane == 0) out[s.side - 1] = float(s.positions) / divisor;
        return;
    }
    const int tap = quad / s.blocks, dy = tap / s.p.kw - s.p.pad, dx = tap % s.p.kw - s.p.pad;
    const float* plane = x + image * s.image + quad % s.blocks * s.plane;
    float4 sum = zero4();
    for (int position = lane; position < s.positions; position += 32) {
        const int h = position / s.p.ow * s.p.stride + dy, w = position % s.p.ow * s.p.stride + dx;
        if (h >= 0 && h < s.p.h && w >= 0 && w < s.p.w) sum = sum + ld4(plane + (int64_t(h) * s.p.w + w) * kBlock);
    }
    for (int distance = 16; distance > 0; distance /= 2)
        sum =
            sum + make_float4(__shfl_xor_sync(kFullWarp, sum.x, distance), __shfl_xor_sync(kFullWarp, sum.y, distance),
                              __shfl_xor_sync(kFullWarp, sum.z, distance), __shfl_xor_sync(kFullWarp, sum.w, distance));
    const float lanes[kBlock] = {sum.x, sum.y, sum.z, sum.w};
    if (lane == 0)
        for (int k = 0; k < kBlock; k++)
            if (s.row(quad, k) >= 0) out[s.row(quad, k)] = lanes[k] / divisor;
}

// a += v v^T for the rows v of vectors [n, side], in order: products of floats are exact in double
__global__ void __launch_bounds__(kThreads)
    outer_kernel(int n, int64_t side, const float* vectors, double* a, int64_t image_stride) {
    const int64_t entry = global_thread();
    if (entry >= side * side) return;
    a += entry;
    double total = *a;
    for (int image = 0; image < n; image++) {
        total += double(vectors[image * side + entry / side]) * double(vectors[image * side + entry % side]);
        if (image_stride == 0 && image + 1 < n) continue;
        *a = total;
        a += image_stride;
        if (image + 1 < n) total = *a;
    }
}

}  // namespace

void second_moment(const Patches& patches, const float* x, double divisor, double* a, int64_t image_stride) {
    const Shape s(patches);
    const int64_t fitting = int64_t(scratch_for_sums() / sizeof(float)) / s.partial_floats();
    const int group = int(std::clamp<int64_t>(fitting, 1, patches.n));
    const Scratch scratch(size_t(group * s.partial_floats()) * sizeof(float));
    float* partial = scratch.at<float>(0);
    const auto pairs = unsigned(s.pairs());
    for (int first = 0; first < patches.n; first += group) {
        const int images = std::min(group, patches.n - first);
        LQF_LAUNCH(partial_kernel, dim3(pairs, unsigned(s.parts), unsigned(images)), dim3(Tile::kThreads),
                   sizeof(Tile::Shared), stream(), s, x + first * s.image, partial);
        LQF_LAUNCH(reduce_kernel, dim3(pairs, unsigned(ceil_div(s.tile_rows() * kTile, kReduceThreads))),
                   dim3(kReduceThreads), 0, stream(), s, images, partial, divisor, a + first * image_stride,
                   image_stride);
    }
}

void moment_of_sums(const Patches& patches, const float* x, float divisor, double* a, int64_t image_stride) {
    const Shape s(patches);
    const Scratch scratch(size_t(patches.n) * size_t(s.side) * sizeof(float));
    float* sums = scratch.at<float>(0);
    LQF_LAUNCH(sums_kernel, dim3(unsigned(ceil_div(s.quads, kThreads / 32)), unsigned(patches.n)), dim3(kThreads), 0,
               stream(), s, x, divisor, sums);
    LQF_LAUNCH(outer_kernel, grid_of(int64_t(s.side) * s.side), dim3(kThreads), 0, stream(), patches.n, s.side, sums, a,
               image_stride);
}

}  // namespace lqf::gpu
