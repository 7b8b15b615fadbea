// conv2d, its tangent, both at once, and the data gradient: one implicit matrix product.
//
//   sum[m, o] = sum_k source[m, k] w[k, o]      m: target pixels of all images, o: output channels, k = (tap, channel)
//
// A block makes 256 pixels x 64 channels, of y and y_dot together in fp32 128 x 64. k goes by in packets of 16 bytes a pixel and a filter: four channels, in
// bf16 eight. Some packets are a stage; while one is multiplied the next are on their way, zeros for padding. No patch matrix exists, no
// division happens inside the loop. In shared memory both operands are [packet][row][16 bytes]: neighbouring lanes read neighbouring 16
// bytes, and 8 rows are 128 bytes in a row, as ldmatrix wants them: no bank conflicts, no padding. The tangent shares the tiles of its
// primal: y = x w0,  y_dot = x_dot w0 + x delta.
//
//          arithmetic                     operands are rounded                                        copies
//   fp32   FFMA, 64 sums a thread         not at all                                                  cp.async
//   tf32   mma.sync, 64 x 32 sums a warp  weights when packed, x when it leaves shared memory         cp.async
//   bf16   the same                       weights when packed, x on its way into shared memory,       x through registers
//                                         which then holds, and reads, half as many bytes
// Sums are fp32 in all three. Speed: not measured, see the bound in bench/results.
#ifndef LQF_GPU_CONV2D_TILE_CUH
#define LQF_GPU_CONV2D_TILE_CUH

#include "backend.h"
#include "conv2d_operands.cuh"
#include "conv2d_tensor.cuh"
#include "conv2d_walk.cuh"
#include "ptx.cuh"

namespace lqf::gpu {

namespace tile {

// The sizes that both directions of a convolution give different names.
struct Planes {
    int n, source_blocks, source_h, source_w, target_blocks, target_h, target_w;
};

// What one thread brings in for every stage: packets of its pixel for each source, and of its filter. A tangent that is null is zero; its
// primal, which has the same shape, is what zeros are asked from.
template <typename Shape>
class Loader {
    using Stage = tile::Stage<Shape>;
    static constexpr int kSources = Shape::kSources;

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
        cursor_ = cursor_at(walk, packets(), pixel_packet());
    }

    // Starts the copies of the next stage.
    __device__ void load(Stage& stage) {
        int filter_offset = -1;  // outside
#pragma unroll
        for (int packet = 0; packet < Shape::kPackets; packet += kApart) {
            load_pixel(stage, packet + pixel_packet());
            if (packet == filter_packet() && cursor_.inside(walk_))
                filter_offset = cursor_.weight_packet(walk_, packets()) * filter_stride_ + filter_offset_;
            cursor_.advance(walk_, packets(), kApart);
        }
        load_filter(stage, filter_packet() + pixel_packet(), filter_offset);
    }

    // Ends those that go through registers.
    __device__ void land(Stage& stage) {
        if constexpr (Shape::kIsBf16)
#pragma unroll
            for (int source = 0; source < kSources; source++)
#pragma unroll
                for (int packet = 0; packet < Shape::kPackets; packet++) {
                    const float4(&x)[2] = passing_[source][packet];
                    st4(stage.x[source][packet][pixel()], make_float4(bf16x2(x[0].x, x[0].y), bf16x2(x[0].z, x[0].w),
                                                                      bf16x2(x[1].x, x[1].y), bf16x2(x[1].z, x[1].w)));
                }
    }

private:
    static constexpr int kApart = kBlockThreads / Shape::kPixels;             // a thread's packets
    static constexpr int kFilterThreads = Shape::kPackets * Shape::kFilters;  // for one source

    // NOTE: not members, registers are scarce.
    static __device__ int pixel() { return int(threadIdx.x) % Shape::kPixels; }
    static __device__ int pixel_packet() { return kApart == 1 ? 0 : int(threadIdx.x) / Shape::kPixels; }
    static __device__ int filter() { return int(threadIdx.x) % Shape::kFilters; }
    static __device__ int filter_packet() {
        return int(threadIdx.x) / Shape::kFilters % (Shape::kPackets / kApart) * kApart;
    }
    __device__ int packets() const { return ceil_div(planes_.source_blocks, Shape::kBlocks); }

    __device__ void load_pixel(Stage& stage, int packet) {
        const int h = source_row_ + cursor_.t * walk_.step, v = source_column_ + cursor_.u * walk_.step;
        const bool inside = cursor_.inside(walk_) && unsigned(h) < unsigned(planes_.source_h) &&
                            unsigned(v) < unsigned(planes_.source_w);
        const int block = cursor_.packet * Shape::kBlocks;
        const int offset = inside ? ((block * planes_.source_h + h) * planes_.source_w + v) * kBlock : 0;
        const float *x = p_.x + image_offset_ + offset, *x_dot = (p_.x_dot ? p_.x_dot : p_.x) + image_offset_ + offset;
        if constexpr (Shape::kIsBf16) {
            const bool second = inside && block + 1 < planes_.source_blocks;
            const int plane = planes_.source_h * planes_.source_w * kBlock;
            pass(passing_[0][packet], x, plane, inside, second);
            if (kSources == 2)
                pass(passing_[kSources - 1][packet], x_dot, plane, inside && p_.x_dot, second && p_.x_dot);
        } else {
            ptx::copy_async16(stage.x[0][packet][pixel()], x, !inside);
            if (kSources == 2) ptx::copy_async16(stage.x[kSources - 1][packet][pixel()], x_dot, !inside || !p_.x_dot);
        }
    }

    static __device__ void pass(float4 (&to)[2], const float* x, int plane, bool first, bool second) {
        to[0] = first ? ld4(x) : zero4();
        to[1] = second ? ld4(x + plane) : zero4();
    }
    static __device__ float bf16x2(float low, float high) {
        return __uint_as_float(ptx::to_bf16x2(__float_as_uint(low), __float_as_uint(high)));
    }

    // Threads beyond those that one source needs bring the next one's; where all are needed each brings both.
    __device__ void load_filter(Stage& stage, int packet, int offset) {
        const bool inside = filter_exists_ && offset >= 0;
        if (!inside) offset = 0;
        constexpr int kTogether = kBlockThreads / kFilterThreads;
        const int first = kTogether == 1 ? 0 : int(threadIdx.x) / kFilterThreads;
#pragma unroll
        for (int i = 0; i < kSources; i += kTogether) {
            const int source = first + i;
            if (kSources % kTogether && source >= kSources) return;
            const float* w = source == 0 ? p_.w : p_.delta;
            ptx::copy_async16(stage.w[source][packet][filter()], (w ? w : p_.w) + offset, !inside || !w);
        }
    }

    const Walk& walk_;
    const Planes& planes_;
    const ConvOperands& p_;
    int source_row_, source_column_, filter_offset_;
    int image_offset_, filter_stride_;  // NOTE: run() checks that they fit
    bool filter_exists_;
    Cursor cursor_;
    float4 passing_[Shape::kIsBf16 ? kSources : 1][Shape::kIsBf16 ? Shape::kPackets : 1][2];
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

// 8 pixels x 8 channels a thread, of y and y_dot together 8 x 4 each: pixels row + kApart i, channels 4 column ... 4 column + 3 and, of 8, those
// 32 further. A warp is 8 rows x 4 columns. Lanes 2k and 2k + 1 share a row, lanes k and k + 2 a column: a 16-byte load of either takes half
// the passes where the hardware merges equal addresses. The order of a sum is the same in all: a packet of x_dot w0, then one of x delta.
template <bool kPrimal, bool kTangent>
class Fp32 {
    using Shape = tile::Shape<Precision::kFp32, kPrimal, kTangent>;
    static constexpr int kRows = 8, kApart = Shape::kPixels / kRows, kQuads = Shape::kBoth ? 1 : 2;

public:
    __device__ void multiply(const Stage<Shape>& stage) {
        constexpr int kSources = Shape::kSources, kRounds = Shape::kPackets * (Shape::kBoth ? 1 : kSources);
#pragma unroll 1  // more would hoist loads out of registers' reach
        for (int round = 0; round < kRounds; round++) {
            if constexpr (Shape::kBoth) {
                const Columns w(stage.w[0][round]), delta(stage.w[1][round]);
#pragma unroll
                for (int i = 0; i < kRows; i++) {
                    float x[kBlock], x_dot[kBlock];
                    split(ld4(stage.x[0][round][row(i)]), x);
                    split(ld4(stage.x[1][round][row(i)]), x_dot);
                    w.multiply(x, sum_[i]);
                    w.multiply(x_dot, sum_dot_[i]);
                    delta.multiply(x, sum_dot_[i]);
                }
            } else {
                const int packet = round / kSources, source = round % kSources;
                const Columns w(stage.w[source][packet]);
#pragma unroll
                for (int i = 0; i < kRows; i++) {
                    float x[kBlock];
                    split(ld4(stage.x[kSources - 1 - source][packet][row(i)]), x);
                    w.multiply(x, kPrimal ? sum_[i] : sum_dot_[i]);
                }
            }
        }
    }

    __device__ void write(const Writer<kPrimal, kTangent>& to, int first_pixel, int first_filter) const {
#pragma unroll
        for (int i = 0; i < kRows; i++)
#pragma unroll
            for (int quad = 0; quad < kQuads; quad++)
                to.write(first_pixel + row(i), first_filter + column(quad), sum_[i][quad], sum_dot_[i][quad]);
    }

private:
    // Bits of the thread's number: row 1, 2, 3, 5 and, of 32, 6; column 0, 4, the others.
    static __device__ int row(int i) {
        const int t = int(threadIdx.x);
        return ((t >> 1 & 7) | (t >> 2 & (Shape::kBoth ? 8 : 24))) + kApart * i;
    }
    static __device__ int column(int quad) {
        const int t = int(threadIdx.x);
        return ((t & 1) | (t >> 3 & 2) | (Shape::kBoth ? t >> 4 & 12 : t >> 5 & 4)) * kBlock + 32 * quad;
    }

    // One packet of the weights of a thread's channels.
    class Columns {
    public:
        __device__ explicit Columns(const float (&w)[Shape::kFilters][kBlock]) {
#pragma unroll
            for (int j = 0; j < kQuads * kBlock; j++) {
                float lanes[kBlock];
                split(ld4(w[column(j / kBlock) + j % kBlock]), lanes);
                for (int lane = 0; lane < kBlock; lane++) w_[lane][j] = lanes[lane];
            }
        }
        __device__ void multiply(const float (&x)[kBlock], Floats<kBlock> (&sum)[kQuads]) const {
#pragma unroll
            for (int lane = 0; lane < kBlock; lane++)
#pragma unroll
                for (int j = 0; j < kQuads * kBlock; j++)
                    sum[j / kBlock].at[j % kBlock] = fmaf(x[lane], w_[lane][j], sum[j / kBlock].at[j % kBlock]);
        }

    private:
        float w_[kBlock][kQuads * kBlock];  // [lane][channel]
    };

    Floats<kBlock> sum_[kRows][kQuads] = {}, sum_dot_[kRows][kQuads] = {};
};

template <Precision kPrecision, bool kPrimal, bool kTangent>
using Product =
    std::conditional_t<kPrecision == Precision::kFp32, Fp32<kPrimal, kTangent>, Tensor<kPrecision, kPrimal, kTangent>>;

// Of a multiprocessor: on tensor cores the sums of a tangent and its primal, and in bf16 what passes through registers too, are more than
// half of its registers.
template <Precision kPrecision, bool kPrimal, bool kTangent>
constexpr int kBlocksTogether = kTangent &&
                                        (kPrecision == Precision::kBf16 || (kPrecision == Precision::kTf32 && kPrimal))
                                    ? 1
                                    : 2;

// blockIdx: x tile of pixels, y tile of channels, z phase (of the backward walk).
template <Precision kPrecision, bool kPrimal, bool kTangent, bool kBackward>
__global__ void __launch_bounds__(kBlockThreads, kBlocksTogether<kPrecision, kPrimal, kTangent>)
    conv2d_kernel(Conv2d c, Planes planes, ConvOperands p) {
    using Shape = tile::Shape<kPrecision, kPrimal, kTangent>;
    constexpr int kStages = Shape::kStages, kAhead = kStages - 1;
    Shared<Shape>& s = shared<Shared<Shape>>();
    const Walk walk = kBackward ? backward_walk(c, int(blockIdx.z)) : forward_walk(c);
    const int first_pixel = int(blockIdx.x) * Shape::kPixels, first_filter = int(blockIdx.y) * Shape::kFilters;
    if (first_pixel >= c.n * walk.rows * walk.columns) return;  // the whole block: this phase has fewer pixels
    const int packets = walk.taps_h * walk.taps_w * ceil_div(planes.source_blocks, Shape::kBlocks);
    const int steps = ceil_div(packets, Shape::kPackets);

    Loader<Shape> loader(walk, planes, p, first_pixel, first_filter);
    Product<kPrecision, kPrimal, kTangent> product;
    for (int step = 0; step < kAhead; step++) {
        if (step < steps) {
            loader.load(s.stages[step]);
            loader.land(s.stages[step]);
        }
        ptx::copy_commit();
    }
    for (int step = 0; step < steps; step++) {
        ptx::copy_wait<kAhead - 1>();
        __syncthreads();  // this step's copies are here, and the stage that is filled next has been read
        Stage<Shape>& next = s.stages[(step + kAhead) % kStages];
        const bool loads = step + kAhead < steps;
        if (loads) loader.load(next);
        ptx::copy_commit();
        product.multiply(s.stages[step % kStages]);
        if (loads) loader.land(next);
    }
    product.write(Writer<kPrimal, kTangent>(walk, planes, p), first_pixel, first_filter);
}

template <Precision kPrecision, bool kPrimal, bool kTangent, bool kBackward>
void run(const Conv2d& c, const ConvOperands& p) {
    using Shape = tile::Shape<kPrecision, kPrimal, kTangent>;
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
    const dim3 grid(unsigned(ceil_div(int64_t(c.n) * largest.rows * largest.columns, int64_t(Shape::kPixels))),
                    unsigned(ceil_div(filters, Shape::kFilters)), unsigned(kBackward ? c.stride * c.stride : 1));
    LQF_LAUNCH((conv2d_kernel<kPrecision, kPrimal, kTangent, kBackward>), grid, dim3(kBlockThreads),
               sizeof(Shared<Shape>), stream(), c, planes, p);
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
