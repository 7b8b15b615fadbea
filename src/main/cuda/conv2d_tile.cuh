// conv2d, its tangent, both at once, and the data gradient: one implicit matrix product.
//
//   sum[m, o] = sum_k source[m, k] w[k, o]      m: target pixels of all images, o: output channels, k = (tap, channel block, lane)
//
// A block makes 128 pixels x 64 channels. k goes by in stages of 16 = 4 quads (a quad: the four channels of a block at one pixel); stage s+1
// is on its way (cp.async, zeros for padding) while s is multiplied. No patch matrix exists, no division happens inside the loop.
// In shared memory both operands are [quad][row][4]: neighbouring lanes read neighbouring 16 bytes, and 8 rows are 128 bytes in a row, as
// ldmatrix wants them: no bank conflicts, no padding. The tangent shares the tiles of its primal:
//   y = x w0,  y_dot = x_dot w0 + x delta       24 floats read for 96 FMA in fp32 (8 pixels x 4 channels a thread)
// Arithmetic: fp32 FFMA, or mma.sync on tf32 or bf16 operands with fp32 sums, rounded when they leave shared memory.
// Speed: not measured, see the bound in bench/results.
#ifndef LQF_GPU_CONV2D_TILE_CUH
#define LQF_GPU_CONV2D_TILE_CUH

#include "backend.h"
#include "conv2d_operands.cuh"
#include "conv2d_walk.cuh"
#include "ptx.cuh"

namespace lqf::gpu {

namespace tile {

constexpr int kPixels = 128, kFilters = 64, kQuads = 4, kStages = 2, kBlockThreads = 256;

template <int kSources>
struct Stage {
    float x[kSources][kQuads][kPixels][kBlock];
    float w[kSources][kQuads][kFilters][kBlock];
};

template <int kSources>
struct Shared {
    Stage<kSources> stages[kStages];
};

// The sizes that both directions of a convolution give different names.
struct Planes {
    int n, source_blocks, source_h, source_w, target_blocks, target_h, target_w;
};

// What one thread brings in for every stage: of its pixel two quads of each source, of its filter one quad of each weight. A tangent that
// is null is zero; its primal, which has the same shape, is what zeros are asked from.
template <int kSources>
class Loader {
public:
    __device__ Loader(const Walk& walk, const Planes& planes, const ConvOperands& p, int first_pixel, int first_filter)
        : walk_(walk), planes_(planes), p_(p) {
        const int pixels = walk.rows * walk.columns;
        const int m = first_pixel + pixel(), image = m / pixels, position = m - image * pixels;
        const int row = position / walk.columns, column = position - row * walk.columns;
        const bool pixel_exists = image < planes.n;
        source_row_ = pixel_exists ? row * walk.scale + walk.start_row : -(1 << 30);  // that is outside
        source_column_ = column * walk.scale + walk.start_column;
        const int image_floats = planes.source_blocks * planes.source_h * planes.source_w * kBlock;
        image_offset_ = pixel_exists ? image * image_floats : 0;
        const int filters = planes.target_blocks * kBlock;
        filter_offset_ = (first_filter + filter()) * kBlock;
        filter_stride_ = filters * kBlock;
        filter_exists_ = first_filter + filter() < filters;
        cursor_ = cursor_at(walk, planes.source_blocks, pixel_quad());
    }

    // Starts the copies of the next stage.
    __device__ void load(Stage<kSources>& stage) {
        int filter_offset = -1;  // outside
#pragma unroll
        for (int quad = 0; quad < kQuads; quad += kApart) {
            load_pixel(stage, quad + pixel_quad());
            if (quad == filter_quad() && cursor_.inside(walk_))
                filter_offset = cursor_.weight_quad(walk_, planes_.source_blocks) * filter_stride_ + filter_offset_;
            cursor_.advance(walk_, planes_.source_blocks, kApart);
        }
        load_filter(stage, filter_quad() + pixel_quad(), filter_offset);
    }

private:
    static constexpr int kApart = kBlockThreads / kPixels;  // a thread's quads

    // NOTE: not members, registers are scarce.
    static __device__ int pixel() { return int(threadIdx.x) % kPixels; }
    static __device__ int pixel_quad() { return int(threadIdx.x) / kPixels; }
    static __device__ int filter() { return int(threadIdx.x) % kFilters; }
    static __device__ int filter_quad() { return int(threadIdx.x) / kFilters % (kPixels / kFilters) * kApart; }

    __device__ void load_pixel(Stage<kSources>& stage, int quad) {
        const int h = source_row_ + cursor_.t * walk_.step, v = source_column_ + cursor_.u * walk_.step;
        const bool inside = cursor_.inside(walk_) && unsigned(h) < unsigned(planes_.source_h) &&
                            unsigned(v) < unsigned(planes_.source_w);
        const int offset = inside ? ((cursor_.block * planes_.source_h + h) * planes_.source_w + v) * kBlock : 0;
        ptx::copy_async16(stage.x[0][quad][pixel()], p_.x + image_offset_ + offset, !inside);
        if (kSources == 1) return;
        const float* x_dot = p_.x_dot ? p_.x_dot : p_.x;
        ptx::copy_async16(stage.x[kSources - 1][quad][pixel()], x_dot + image_offset_ + offset, !inside || !p_.x_dot);
    }

    __device__ void load_filter(Stage<kSources>& stage, int quad, int offset) {
        const bool inside = filter_exists_ && offset >= 0;
        if (!inside) offset = 0;
        ptx::copy_async16(stage.w[0][quad][filter()], p_.w + offset, !inside);
        if (kSources == 1) return;
        const float* delta = p_.delta ? p_.delta : p_.w;
        ptx::copy_async16(stage.w[kSources - 1][quad][filter()], delta + offset, !inside || !p_.delta);
    }

    const Walk& walk_;
    const Planes& planes_;
    const ConvOperands& p_;
    int source_row_, source_column_, filter_offset_;
    int image_offset_, filter_stride_;  // NOTE: run() checks that they fit
    bool filter_exists_;
    Cursor cursor_;
};

// Knows where the sums of a tile's pixels go.
template <bool kPrimal, bool kTangent>
class Writer {
public:
    __device__ Writer(const Walk& walk, const Planes& planes, const ConvOperands& p)
        : walk_(walk), planes_(planes), p_(p), pixels_(walk.rows * walk.columns) {}

    // kCount channels of one pixel, which lie in one block.
    template <int kCount>
    __device__ void write(int m, int channel, const Floats<kCount>& sum, const Floats<kCount>& sum_dot) const {
        const int image = m / pixels_, position = m - image * pixels_;
        if (image >= planes_.n || channel >= planes_.target_blocks * kBlock) return;
        const int row = position / walk_.columns, column = position - row * walk_.columns;
        const int64_t plane = int64_t(image) * planes_.target_blocks + channel / kBlock;
        const int64_t at =
            ((plane * planes_.target_h + row * walk_.target_scale + walk_.target_row) * planes_.target_w +
             column * walk_.target_scale + walk_.target_column) *
                kBlock +
            channel % kBlock;
        finish<kPrimal, kTangent>(p_, at, channel, sum, sum_dot);
    }

private:
    const Walk& walk_;
    const Planes& planes_;
    const ConvOperands& p_;
    const int pixels_;  // of an image
};

__device__ __forceinline__ void split(float4 v, float (&lanes)[4]) {
    lanes[0] = v.x, lanes[1] = v.y, lanes[2] = v.z, lanes[3] = v.w;
}

// 8 pixels x 4 channels a thread: pixels row + 16 i, channels 4 column ... 4 column + 3. A warp is 8 rows x 4 columns. Lanes 2k and 2k + 1
// share a row, lanes k and k + 2 a column: a 16-byte load of either takes half the passes where the hardware merges equal addresses.
template <bool kPrimal, bool kTangent>
class Fp32 {
    static constexpr int kRows = 8, kColumns = 4, kApart = 16;

public:
    __device__ void multiply(const Stage<kTangent ? 2 : 1>& stage) {
        const int row = thread_row(), column = thread_column() * kColumns;
#pragma unroll 1  // more would hoist loads out of registers' reach
        for (int quad = 0; quad < kQuads; quad++) {
            float w[4][kColumns], delta[4][kColumns];  // [lane][channel]
#pragma unroll
            for (int j = 0; j < kColumns; j++) {
                float lanes[4];
                split(ld4(stage.w[0][quad][column + j]), lanes);
                for (int lane = 0; lane < 4; lane++) w[lane][j] = lanes[lane];
                if (!kTangent) continue;
                split(ld4(stage.w[kTangent][quad][column + j]), lanes);
                for (int lane = 0; lane < 4; lane++) delta[lane][j] = lanes[lane];
            }
#pragma unroll
            for (int i = 0; i < kRows; i++) {
                float x[4], x_dot[4];
                split(ld4(stage.x[0][quad][row + kApart * i]), x);
                if (kTangent) split(ld4(stage.x[kTangent][quad][row + kApart * i]), x_dot);
#pragma unroll
                for (int lane = 0; lane < 4; lane++)
#pragma unroll
                    for (int j = 0; j < kColumns; j++) {
                        if (kPrimal) sum_[i].at[j] = fmaf(x[lane], w[lane][j], sum_[i].at[j]);
                        if (!kTangent) continue;
                        sum_dot_[i].at[j] = fmaf(x_dot[lane], w[lane][j], sum_dot_[i].at[j]);
                        sum_dot_[i].at[j] = fmaf(x[lane], delta[lane][j], sum_dot_[i].at[j]);
                    }
            }
        }
    }

    __device__ void write(const Writer<kPrimal, kTangent>& to, int first_pixel, int first_filter) const {
        const int m = first_pixel + thread_row(), channel = first_filter + thread_column() * kColumns;
#pragma unroll
        for (int i = 0; i < kRows; i++) to.write(m + kApart * i, channel, sum_[i], sum_dot_[i]);
    }

private:
    // Bits of the thread's number: row 1, 2, 3, 5; column 0, 4, 6, 7.
    static __device__ int thread_row() {
        const int t = int(threadIdx.x);
        return (t >> 1 & 7) | (t >> 2 & 8);
    }
    static __device__ int thread_column() {
        const int t = int(threadIdx.x);
        return (t & 1) | (t >> 3 & 2) | (t >> 4 & 12);
    }

    Floats<kColumns> sum_[kRows] = {}, sum_dot_[kRows] = {};
};

// 32 pixels x 32 channels a warp, in pieces of 16 x 8; lane = 4 g + t.
template <Precision kPrecision, bool kPrimal, bool kTangent>
class Tensor {
    static constexpr int kRows = 2, kColumns = 4;  // pieces

public:
    __device__ void multiply(const Stage<kTangent ? 2 : 1>& stage) {
#pragma unroll
        for (int first = 0; first < kQuads; first += kPrecision == Precision::kTf32 ? 2 : 4) {
            unsigned x[kRows][4], x_dot[kRows][4], w[kColumns][2], delta[kColumns][2];
            load_rows(stage.x[0], first, x);
            load_columns(stage.w[0], first, w);
            if (kTangent) {
                load_rows(stage.x[kTangent], first, x_dot);
                load_columns(stage.w[kTangent], first, delta);
            }
#pragma unroll
            for (int i = 0; i < kRows; i++)
#pragma unroll
                for (int j = 0; j < kColumns; j++) {
                    if (kPrimal) mma(sum_[i][j], x[i], w[j]);
                    if (!kTangent) continue;
                    mma(sum_dot_[i][j], x_dot[i], w[j]);
                    mma(sum_dot_[i][j], x[i], delta[j]);
                }
        }
    }

    __device__ void write(const Writer<kPrimal, kTangent>& to, int first_pixel, int first_filter) const {
        const int g = lane() / 4, t = lane() % 4;
#pragma unroll
        for (int i = 0; i < kRows; i++)
#pragma unroll
            for (int j = 0; j < kColumns; j++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const float *sum = sum_[i][j] + 2 * half, *sum_dot = sum_dot_[i][j] + 2 * half;
                    to.write(first_pixel + row() + 16 * i + 8 * half + g, first_filter + column() + 8 * j + 2 * t,
                             Floats<2>{{sum[0], sum[1]}}, Floats<2>{{sum_dot[0], sum_dot[1]}});
                }
    }

private:
    static __device__ int lane() { return int(threadIdx.x) % 32; }
    static __device__ int row() { return int(threadIdx.x) / 32 % 4 * 32; }
    static __device__ int column() { return int(threadIdx.x) / 128 * 32; }

    // Two quads: for tf32 one piece of depth 8.
    static __device__ void load_two(const float (&x)[kQuads][kPixels][kBlock], int quad, int i, unsigned (&r)[4]) {
        ptx::load_matrix_x4(r, x[quad + lane() / 16][row() + 16 * i + lane() % 16]);
    }
    static __device__ void load_two(const float (&w)[kQuads][kFilters][kBlock], int quad, int pair, unsigned (&r)[4]) {
        ptx::load_matrix_x4(r, w[quad + lane() / 8 % 2][column() + 16 * pair + lane() / 16 * 8 + lane() % 8]);
    }

    // NOTE: bf16 pairs a float of one quad with that of the next, in both operands: the sum over k does not mind the order.
    static __device__ void load_rows(const float (&x)[kQuads][kPixels][kBlock], int first, unsigned (&a)[kRows][4]) {
#pragma unroll
        for (int i = 0; i < kRows; i++) {
            unsigned low[4], high[4];
            load_two(x, first, i, low);
            if (kPrecision == Precision::kTf32) {
                for (int part = 0; part < 4; part++) a[i][part] = ptx::to_tf32(low[part]);
                continue;
            }
            load_two(x, first + 2, i, high);
            a[i][0] = ptx::to_bf16x2(low[0], low[2]);
            a[i][1] = ptx::to_bf16x2(low[1], low[3]);
            a[i][2] = ptx::to_bf16x2(high[0], high[2]);
            a[i][3] = ptx::to_bf16x2(high[1], high[3]);
        }
    }
    static __device__ void load_columns(const float (&w)[kQuads][kFilters][kBlock], int first,
                                        unsigned (&b)[kColumns][2]) {
#pragma unroll
        for (int pair = 0; pair < kColumns / 2; pair++) {
            unsigned low[4], high[4];
            load_two(w, first, pair, low);
            if (kPrecision == Precision::kTf32) {
                for (int part = 0; part < 4; part++) b[2 * pair + part / 2][part % 2] = ptx::to_tf32(low[part]);
                continue;
            }
            load_two(w, first + 2, pair, high);
            b[2 * pair][0] = ptx::to_bf16x2(low[0], low[1]);
            b[2 * pair][1] = ptx::to_bf16x2(high[0], high[1]);
            b[2 * pair + 1][0] = ptx::to_bf16x2(low[2], low[3]);
            b[2 * pair + 1][1] = ptx::to_bf16x2(high[2], high[3]);
        }
    }

    static __device__ void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
        if (kPrecision == Precision::kTf32)
            ptx::mma_tf32_16x8x8(d, a, b[0], b[1]);
        else
            ptx::mma_bf16_16x8x16(d, a, b[0], b[1]);
    }

    float sum_[kRows][kColumns][4] = {}, sum_dot_[kRows][kColumns][4] = {};
};

template <Precision kPrecision, bool kPrimal, bool kTangent>
using Product =
    std::conditional_t<kPrecision == Precision::kFp32, Fp32<kPrimal, kTangent>, Tensor<kPrecision, kPrimal, kTangent>>;

// blockIdx: x tile of pixels, y tile of channels, z phase (of the backward walk).
template <Precision kPrecision, bool kPrimal, bool kTangent, bool kBackward>
__global__ void __launch_bounds__(kBlockThreads, 2) conv2d_kernel(Conv2d c, Planes planes, ConvOperands p) {
    constexpr int kSources = kTangent ? 2 : 1;
    Shared<kSources>& s = shared<Shared<kSources>>();
    const Walk walk = kBackward ? backward_walk(c, int(blockIdx.z)) : forward_walk(c);
    const int first_pixel = int(blockIdx.x) * kPixels, first_filter = int(blockIdx.y) * kFilters;
    if (first_pixel >= c.n * walk.rows * walk.columns) return;  // the whole block: this phase has fewer pixels
    const int steps = ceil_div(walk.taps_h * walk.taps_w * planes.source_blocks, kQuads);

    Loader<kSources> loader(walk, planes, p, first_pixel, first_filter);
    Product<kPrecision, kPrimal, kTangent> product;
    if (steps > 0) loader.load(s.stages[0]);
    ptx::copy_commit();
    for (int step = 0; step < steps; step++) {
        ptx::copy_wait<0>();
        __syncthreads();  // this step's copies are here, and the other stage has been read
        if (step + 1 < steps) loader.load(s.stages[(step + 1) % kStages]);
        ptx::copy_commit();
        product.multiply(s.stages[step % kStages]);
    }
    product.write(Writer<kPrimal, kTangent>(walk, planes, p), first_pixel, first_filter);
}

template <Precision kPrecision, bool kPrimal, bool kTangent, bool kBackward>
void run(const Conv2d& c, const ConvOperands& p) {
    const int in = blocks_of(c.ic), out = blocks_of(c.oc);
    const Planes planes =
        kBackward ? Planes{c.n, out, c.oh, c.ow, in, c.ih, c.iw} : Planes{c.n, in, c.ih, c.iw, out, c.oh, c.ow};
    const Walk largest = kBackward ? backward_walk(c, 0) : forward_walk(c);
    const int filters = padded_channels(kBackward ? c.ic : c.oc);
    const int64_t source = int64_t(c.n) * (kBackward ? int64_t(padded_channels(c.oc)) * c.oh * c.ow
                                                     : int64_t(padded_channels(c.ic)) * c.ih * c.iw);
    if (source > INT32_MAX || int64_t(conv2d_packed_floats(c)) > INT32_MAX)
        throw Error(LQF_INVALID, "a convolution of " + std::to_string(c.n) + " images and " +
                                     std::to_string(c.patch() * c.oc) + " weights is too large; use a smaller batch");
    const dim3 grid(unsigned(ceil_div(int64_t(c.n) * largest.rows * largest.columns, int64_t(kPixels))),
                    unsigned(ceil_div(filters, kFilters)), unsigned(kBackward ? c.stride * c.stride : 1));
    LQF_LAUNCH((conv2d_kernel<kPrecision, kPrimal, kTangent, kBackward>), grid, dim3(kBlockThreads),
               sizeof(Shared < kTangent ? 2 : 1 >), stream(), c, planes, p);
}

}  // namespace tile

#define LQF_CONV2D_PRODUCT(precision)                                                       \
    template <>                                                                             \
    void conv2d_product<precision>(const Conv2d& c, const ConvOperands& p, bool backward) { \
        if (backward)                                                                       \
            tile::run<precision, true, false, true>(c, p);                                  \
        else if (p.y && p.y_dot)                                                            \
            tile::run<precision, true, true, false>(c, p);                                  \
        else if (p.y)                                                                       \
            tile::run<precision, true, false, false>(c, p);                                 \
        else                                                                                \
            tile::run<precision, false, true, false>(c, p);                                 \
    }

}  // namespace lqf::gpu
#endif
