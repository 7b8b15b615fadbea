// conv2d, its tangent, both at once, and the data gradient: one implicit matrix product.
//
//   sum[m, o] = sum_k source[m, k] w[k, o]      m: target pixels of all images, o: output channels, k = (tap, channel)
//
// A block makes 256 pixels x 64 channels, of y and y_dot together in fp32 128 x 64; where that leaves multiprocessors idle, or of few channels,
// other tiles (Tile). Of a layer with few pixels an image the sum is cut into parts of fixed lengths, each made by a block of its own and added
// up in order by add_parts_kernel: how many depends on the layer alone, so the bits depend neither on n nor on the device's size.
//
// k goes by in packets of 16 bytes a pixel and a filter: four channels, in bf16 eight. Some packets are a stage; while one is multiplied the
// next are on their way, zeros for padding. No patch matrix exists, no division happens inside the loop. In shared memory both operands are
// [packet][row][16 bytes]: neighbouring lanes read neighbouring 16 bytes, and 8 rows are 128 bytes in a row, as ldmatrix wants them: no bank
// conflicts, no padding. The tangent shares the tiles of its primal: y = x w0,  y_dot = x_dot w0 + x delta.
//
//          arithmetic                     operands are rounded                                        copies
//   fp32   FFMA, 64 sums a thread         not at all                                                  cp.async
//   tf32   mma.sync, 64 x 32 sums a warp  weights when packed, x when it leaves shared memory         cp.async
//   bf16   the same                       weights when packed, x on its way into shared memory,       x through registers
//                                         which then holds, and reads, half as many bytes
// Sums are fp32 in all three. Speed: bench/results/gpu.
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

    int64_t source_floats() const { return int64_t(source_blocks) * source_h * source_w * kBlock; }  // of an image
    int64_t target_floats() const { return int64_t(target_blocks) * target_h * target_w * kBlock; }
};

// The parts of a sum, which go where y and y_dot do, one after the other; count 1: the sum is whole.
struct Parts {
    int count;
    int64_t floats;  // of one

    // Packets of a part: whole stages of every precision.
    static constexpr int kMultiple = 4;
    __host__ __device__ int packets(int all) const { return ceil_div(ceil_div(all, kMultiple), count) * kMultiple; }
};

// What one thread brings in for every stage: packets of its pixel for each source, and of its filter. A tangent that is null is zero; its
// primal, which has the same shape, is what zeros are asked from.
template <typename Shape>
class Loader {
    using Stage = tile::Stage<Shape>;
    static constexpr int kSources = Shape::kSources;

public:
    __device__ Loader(const Walk& walk, const Planes& planes, const ConvOperands& p, int first_pixel, int first_filter,
                      int first_packet)
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
        cursor_ = cursor_at(walk, packets(), first_packet + pixel_packet());
    }

    // Starts the copies of the next stage.
    __device__ void load(Stage& stage) {
        int filter_offset = -1;  // outside
#pragma unroll
        for (int packet = 0; packet < Shape::kPackets; packet += kApart) {
            load_pixel(stage, packet / kApart);
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
                for (int packet = 0; packet < Shape::kPackets; packet += kApart) {
                    const float4(&x)[2] = passing_[source][packet / kApart];
                    st4(stage.x[source][packet + pixel_packet()][pixel()],
                        make_float4(bf16x2(x[0].x, x[0].y), bf16x2(x[0].z, x[0].w), bf16x2(x[1].x, x[1].y),
                                    bf16x2(x[1].z, x[1].w)));
                }
    }

private:
    static constexpr int kApart = kBlockThreads / Shape::kPixels;    // a thread's packets
    static constexpr int kFilterPackets = Shape::kPackets / kApart;  // of threads with the same pixel_packet
    static constexpr int kTogether = kBlockThreads / (Shape::kPackets * Shape::kFilters);  // sources
    static_assert(kApart >= 1 && kFilterPackets >= 1 && kTogether >= 1, "a thread brings whole packets");

    // NOTE: not members, registers are scarce: what is kept between steps the loads of the product lack.
    static __device__ int pixel() { return int(threadIdx.x) % Shape::kPixels; }
    static __device__ int pixel_packet() { return kApart == 1 ? 0 : int(threadIdx.x) / Shape::kPixels; }
    static __device__ int filter() { return int(threadIdx.x) % Shape::kFilters; }
    static __device__ int filter_packet() { return int(threadIdx.x) / Shape::kFilters % kFilterPackets * kApart; }
    __device__ int packets() const { return ceil_div(planes_.source_blocks, Shape::kBlocks); }

    __device__ void load_pixel(Stage& stage, int slot) {
        const int packet = slot * kApart + pixel_packet();
        const int h = source_row_ + cursor_.t * walk_.step, v = source_column_ + cursor_.u * walk_.step;
        const bool inside = cursor_.inside(walk_) && unsigned(h) < unsigned(planes_.source_h) &&
                            unsigned(v) < unsigned(planes_.source_w);
        const int block = cursor_.packet * Shape::kBlocks;
        const int offset = inside ? ((block * planes_.source_h + h) * planes_.source_w + v) * kBlock : 0;
        const float *x = p_.x + image_offset_ + offset, *x_dot = (p_.x_dot ? p_.x_dot : p_.x) + image_offset_ + offset;
        if constexpr (Shape::kIsBf16) {
            const bool second = inside && block + 1 < planes_.source_blocks;
            const int plane = planes_.source_h * planes_.source_w * kBlock;
            pass(passing_[0][slot], x, plane, inside, second);
            if (kSources == 2) pass(passing_[kSources - 1][slot], x_dot, plane, inside && p_.x_dot, second && p_.x_dot);
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
        const int first = int(threadIdx.x) % (kBlockThreads / kApart) / (Shape::kFilters * kFilterPackets);
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
    float4 passing_[Shape::kIsBf16 ? kSources : 1][Shape::kIsBf16 ? kFilterPackets : 1][2];
};

// Knows where the sums of a tile's pixels go.
template <bool kPrimal, bool kTangent>
class Writer {
public:
    __device__ Writer(const Walk& walk, const Planes& planes, const ConvOperands& p, int64_t start)
        : walk_(walk), planes_(planes), p_(p), start_(start), pixels_(walk.rows * walk.columns) {}

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
        finish<kPrimal, kTangent>(p_, start_ + at, channel, sum, sum_dot);
    }

private:
    const Walk& walk_;
    const Planes& planes_;
    const ConvOperands& p_;
    const int64_t start_;  // of the part
    const int pixels_;     // of an image
};

__device__ __forceinline__ void split(float4 v, float (&lanes)[4]) {
    lanes[0] = v.x, lanes[1] = v.y, lanes[2] = v.z, lanes[3] = v.w;
}

// kRows pixels x kQuads quads of channels a thread, 8 x 8 or of y and y_dot together 8 x 4 each: pixels row + kApart i, channels 4 column ...
// 4 column + 3 and, of two quads, those 32 further. A warp is 8 rows x 4 columns. Lanes 2k and 2k + 1 share a row, lanes k and k + 2 a column: a
// 16-byte load of either takes half the passes, since the hardware merges equal addresses (measured: ncu counts half on an H100). The order of a
// sum is the same in all: a packet of x_dot w0, then one of x delta.
template <bool kPrimal, bool kTangent, Tile kTile>
class Fp32 {
    using Shape = tile::Shape<Precision::kFp32, kPrimal, kTangent, kTile>;
    static constexpr int kRows = Shape::kRows, kApart = Shape::kPixels / kRows, kQuads = Shape::kQuads;
    // Rows: as many as give nvcc's registers the fewest bank conflicts; for the newest cards four would spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
    static constexpr int kTogether = 2;
#else
    static constexpr int kTogether = Shape::kBoth ? 2 : 4;
#endif

public:
    __device__ void multiply(const Stage<Shape>& stage) {
        constexpr int kSources = Shape::kSources, kRounds = Shape::kPackets * (Shape::kBoth ? 1 : kSources);
#pragma unroll 1  // more would hoist loads out of registers' reach
        for (int round = 0; round < kRounds; round++) {
            if constexpr (Shape::kBoth) {
                const Columns w(stage.w[0][round]), delta(stage.w[1][round]);
#pragma unroll
                for (int i = 0; i < kRows; i += kTogether) {
                    float x[kTogether][kBlock], x_dot[kTogether][kBlock];
                    load_rows(stage.x[0][round], i, x);
                    load_rows(stage.x[1][round], i, x_dot);
                    w.multiply(x, sum_ + i);
                    w.multiply(x_dot, sum_dot_ + i);
                    delta.multiply(x, sum_dot_ + i);
                }
            } else {
                const int packet = round / kSources, source = round % kSources;
                const Columns w(stage.w[source][packet]);
#pragma unroll
                for (int i = 0; i < kRows; i += kTogether) {
                    float x[kTogether][kBlock];
                    load_rows(stage.x[kSources - 1 - source][packet], i, x);
                    w.multiply(x, (kPrimal ? sum_ : sum_dot_) + i);
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
    // Bits of the thread's number: row 1, 2, 3; column 0, 4; of 5, 6, 7 the first ones row, the others column.
    static constexpr int kColumnBits = Shape::kColumns == 16 ? 2 : Shape::kColumns == 8 ? 1 : 0;  // of these three
    static __device__ int row(int i) {
        const int t = int(threadIdx.x);
        return ((t >> 1 & 7) | (t >> 2 & ((8 << (3 - kColumnBits)) - 8))) + kApart * i;
    }
    static __device__ int column(int quad) {
        const int t = int(threadIdx.x);
        return ((t & 1) | (t >> 3 & 2) | (t >> (8 - kColumnBits) & ((1 << kColumnBits) - 1)) << 2) * kBlock + 32 * quad;
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
        __device__ void multiply(const float (&x)[kTogether][kBlock], Floats<kBlock> (*sum)[kQuads]) const {
#pragma unroll
            for (int lane = 0; lane < kBlock; lane++)
#pragma unroll
                for (int j = 0; j < kQuads * kBlock; j++)
#pragma unroll
                    for (int i = 0; i < kTogether; i++) {
                        float& at = sum[i][j / kBlock].at[j % kBlock];
                        at = fmaf(x[i][lane], w_[lane][j], at);
                    }
        }

    private:
        float w_[kBlock][kQuads * kBlock];  // [lane][channel]
    };

    static __device__ void load_rows(const float (&x)[Shape::kPixels][kBlock], int i, float (&to)[kTogether][kBlock]) {
#pragma unroll
        for (int k = 0; k < kTogether; k++) split(ld4(x[row(i + k)]), to[k]);
    }

    Floats<kBlock> sum_[kRows][kQuads] = {}, sum_dot_[kRows][kQuads] = {};
};

template <Precision kPrecision, bool kPrimal, bool kTangent, Tile kTile>
using Product = std::conditional_t<kPrecision == Precision::kFp32, Fp32<kPrimal, kTangent, kTile>,
                                   Tensor<kPrecision, kPrimal, kTangent, kTile>>;

// Of a multiprocessor: on tensor cores the sums of a tangent and its primal, and in bf16 what passes through registers too, are more than
// half of its registers.
template <Precision kPrecision, bool kPrimal, bool kTangent, Tile kTile>
constexpr int kBlocksTogether = kTile != Tile::kSmall&& kTangent &&
                                        (kPrecision == Precision::kBf16 || (kPrecision == Precision::kTf32 && kPrimal))
                                    ? 1
                                    : 2;

// blockIdx: x tile of pixels, y tile of channels, z (phase of the backward walk, part of the sum).
template <Precision kPrecision, bool kPrimal, bool kTangent, bool kBackward, Tile kTile>
__global__ void __launch_bounds__(kBlockThreads, kBlocksTogether<kPrecision, kPrimal, kTangent, kTile>)
    conv2d_kernel(Conv2d c, Planes planes, ConvOperands p, Parts parts) {
    using Shape = tile::Shape<kPrecision, kPrimal, kTangent, kTile>;
    constexpr int kStages = Shape::kStages, kAhead = kStages - 1;
    Shared<Shape>& s = shared<Shared<Shape>>();
    const int phase = int(blockIdx.z) / parts.count, part = int(blockIdx.z) % parts.count;
    const Walk walk = kBackward ? backward_walk(c, phase) : forward_walk(c);
    const int first_pixel = int(blockIdx.x) * Shape::kPixels, first_filter = int(blockIdx.y) * Shape::kFilters;
    if (first_pixel >= c.n * walk.rows * walk.columns) return;  // the whole block: this phase has fewer pixels
    const int packets = walk.taps_h * walk.taps_w * ceil_div(planes.source_blocks, Shape::kBlocks);
    const int first_packet = part * parts.packets(packets);
    const int steps = ceil_div(min(packets - first_packet, parts.packets(packets)), Shape::kPackets);

    Loader<Shape> loader(walk, planes, p, first_pixel, first_filter, first_packet);
    Product<kPrecision, kPrimal, kTangent, kTile> product;
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
    product.write(Writer<kPrimal, kTangent>(walk, planes, p, part * parts.floats), first_pixel, first_filter);
}

// One thread for four channels of one pixel: the sums of y and y_dot of all parts, in order.
template <bool kPrimal, bool kTangent>
__global__ void add_parts_kernel(Planes planes, ConvOperands p, Parts parts, const float* y, const float* y_dot) {
    const int64_t at = global_thread() * kBlock;
    if (at >= parts.floats) return;
    const int channel = int(at / (int64_t(planes.target_h) * planes.target_w * kBlock) % planes.target_blocks) * kBlock;
    Floats<kBlock> sum{}, sum_dot{};
    for (int part = 0; part < parts.count; part++) {
        if (kPrimal) sum = sum + load_floats<kBlock>(y + part * parts.floats + at);
        if (kTangent) sum_dot = sum_dot + load_floats<kBlock>(y_dot + part * parts.floats + at);
    }
    finish<kPrimal, kTangent>(p, at, channel, sum, sum_dot);
}

template <Precision kPrecision, bool kPrimal, bool kTangent, bool kBackward>
class Launch {
public:
    Launch(const Conv2d& c, const ConvOperands& p, const Parts& parts)
        : c_(c), p_(p), planes_(planes_of(c)), parts_(parts) {
        const Walk walk = largest_walk(c);
        pixels_ = int64_t(c.n) * walk.rows * walk.columns;
        filters_ = planes_.target_blocks * kBlock;
    }

    static Planes planes_of(const Conv2d& c) {
        const int in = blocks_of(c.ic), out = blocks_of(c.oc);
        return kBackward ? Planes{c.n, out, c.oh, c.ow, in, c.ih, c.iw} : Planes{c.n, in, c.ih, c.iw, out, c.oh, c.ow};
    }

    // Into how many parts the sums of a layer are cut: more where an image has few pixels, and none so short that writing and adding them up
    // costs more than a few percent of making them.
    static int parts_of(const Conv2d& c) {
        constexpr int kShortest = kPrecision == Precision::kFp32 ? 144 : 288;
        const Planes planes = planes_of(c);
        const Walk walk = largest_walk(c);
        const int pixels = planes.target_h * planes.target_w;
        const int most = pixels <= 64 ? 8 : pixels <= 256 ? 4 : pixels <= 1024 ? 2 : 1;
        return max(1, min(most, walk.taps_h * walk.taps_w * planes.source_blocks / kShortest));
    }

    void run() const {
        if constexpr (kPrecision != Precision::kFp32)
            run_cheapest<Tile::kWide, Tile::kSmall>();
        else if (filters_ <= 16)
            run<Tile::kNarrow16>();
        else if (filters_ <= 32)
            run<Tile::kNarrow32>();
        else if constexpr (kPrimal && kTangent)
            run_cheapest<Tile::kWide, Tile::kSmall>();
        else
            run_cheapest<Tile::kWide, Tile::kMiddle, Tile::kSmall>();
    }

private:
    template <Tile kTile>
    using Shape = tile::Shape<kPrecision, kPrimal, kTangent, kTile>;

    static Walk largest_walk(const Conv2d& c) { return kBackward ? backward_walk(c, 0) : forward_walk(c); }

    template <Tile kTile>
    dim3 grid() const {
        return dim3(unsigned(ceil_div(pixels_, int64_t(Shape<kTile>::kPixels))),
                    unsigned(ceil_div(filters_, Shape<kTile>::kFilters)),
                    unsigned((kBackward ? c_.stride * c_.stride : 1) * parts_.count));
    }

    // Relative to another tile's: rounds of blocks that the multiprocessors make, times what a block costs.
    template <Tile kTile>
    double cost() const {
        const dim3 blocks = grid<kTile>();
        const int64_t rounds = ceil_div(int64_t(blocks.x) * blocks.y * blocks.z, int64_t(multiprocessors()));
        return double(rounds) * Shape<kTile>::kPixels * Shape<kTile>::kFilters * Shape<kTile>::kCost;
    }

    // The first of the cheapest.
    template <Tile kTile, Tile... kOthers>
    void run_cheapest() const {
        if constexpr (sizeof...(kOthers) > 0)
            if (((cost<kOthers>() < cost<kTile>()) || ...)) return run_cheapest<kOthers...>();
        run<kTile>();
    }

    template <Tile kTile>
    void run() const {
        LQF_LAUNCH((conv2d_kernel<kPrecision, kPrimal, kTangent, kBackward, kTile>), grid<kTile>(), dim3(kBlockThreads),
                   sizeof(Shared<Shape<kTile>>), stream(), c_, planes_, p_, parts_);
    }

    const Conv2d& c_;
    const ConvOperands& p_;
    const Planes planes_;
    const Parts parts_;
    int64_t pixels_;  // of the largest phase, all images
    int filters_;
};

template <Precision kPrecision, bool kPrimal, bool kTangent, bool kBackward>
void run(const Conv2d& c, const ConvOperands& p) {
    using Launch = tile::Launch<kPrecision, kPrimal, kTangent, kBackward>;
    constexpr int kResults = kPrimal && kTangent ? 2 : 1;
    const Planes planes = Launch::planes_of(c);
    const int64_t source = planes.source_floats(), target = planes.target_floats();  // of an image
    if (source * c.n > INT32_MAX || int64_t(conv2d_packed_floats(c)) > INT32_MAX)
        throw Error(LQF_INVALID, "a convolution of " + std::to_string(c.n) + " images and " +
                                     std::to_string(c.patch() * c.oc) + " weights is too large; use a smaller batch");
    const int cut = Launch::parts_of(c);
    if (cut == 1) return Launch(c, p, Parts{1, 0}).run();
    const int64_t fitting = int64_t(scratch_for_sums() / sizeof(float)) / (cut * target * kResults);
    const int together = int(min(int64_t(c.n), max(int64_t(1), fitting)));
    const int64_t result = cut * target * together;
    const Scratch scratch(size_t(result * kResults) * sizeof(float));
    ConvOperands sums{};  // as they are: no bias, no residual, no slope
    sums.w = p.w, sums.delta = p.delta;
    sums.y = kPrimal ? scratch.at<float>(0) : nullptr;
    sums.y_dot = kTangent ? scratch.at<float>(size_t(result * (kResults - 1)) * sizeof(float)) : nullptr;
    for (int first = 0; first < c.n; first += together) {
        Conv2d some = c;
        some.n = min(together, c.n - first);
        const ConvOperands q = p.from(first * source, first * target);
        sums.x = q.x, sums.x_dot = q.x_dot;
        const Parts parts{cut, some.n * target};
        Launch(some, sums, parts).run();
        LQF_LAUNCH((add_parts_kernel<kPrimal, kTangent>), grid_of(parts.floats / kBlock), dim3(kThreads), 0, stream(),
                   planes, q, parts, sums.y, sums.y_dot);
    }
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
