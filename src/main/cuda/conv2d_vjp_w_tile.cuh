// An image's weight gradient, an implicit matrix product over its pixels, no patch matrix in memory:
//
//   sum[o, q] = sum_t y_bar[t, o] patch[t, q]      t: output pixels of one image, o: output channels, q: quads of the patch (tap, channels)
//
// A block makes 64 output channels (in fp32, where there are fewer, 32 or 16) x 32 quads (128 components), on tensor cores x 64 quads. 16 pixels
// are a stage; while one is multiplied the next are on their way, zeros for padding. Images of many pixels are cut into parts, of lengths that
// the layer alone decides, each made by a block. In fp32, where the tiles alone fill the device, a block makes those of all images, one after
// the other, and adds each to what w_bar held (kDirect): no sums in memory.
//
//          arithmetic                     operands are rounded                             copies
//   fp32   FFMA, 8 x 8 sums a thread      not at all                                       cp.async
//   tf32   mma.sync, 64 x 64 sums a warp  when they leave shared memory, by 16-byte loads  cp.async
//   bf16   the same                       on their way into shared memory, whence          through registers
//                                         ldmatrix takes them transposed
// Sums are fp32 in all three. Speed: bench/results/gpu.
#ifndef LQF_GPU_CONV2D_VJP_W_TILE_CUH
#define LQF_GPU_CONV2D_VJP_W_TILE_CUH

#include "backend.h"
#include "conv2d_vjp_w_tensor.cuh"

namespace lqf::gpu::gradient {

// What one thread brings in: at its pixel of every 16, quads of y_bar and of the patch, those of 16 bytes next to each other.
template <typename Shape>
class Loader {
    static constexpr int kApart = kBlockThreads / Shape::kPixels;  // between words of 16 bytes
    static constexpr int kFilters = ceil_div(Shape::kFilterQuads, kApart), kPatches = Shape::kPatchQuads / kApart;
    static constexpr int kPartPatches = kPatches / Shape::kParts, kQuads = Shape::kQuads;

public:
    __device__ Loader(const Conv2d& c, const float* x, const float* y_bar, int first_filter, int first_patch,
                      int first_pixel)
        : c_(c), x_(x), y_bar_(y_bar), filter_(first_filter), slot_(int(threadIdx.x) % Shape::kPixels) {
        row_ = (first_pixel + slot_) / c.ow, column_ = (first_pixel + slot_) % c.ow;
        row_step_ = Shape::kPixels / c.ow, column_step_ = Shape::kPixels % c.ow;
#pragma unroll
        for (int i = 0; i < kPatches; i++) {
            const int quad = first_patch + quad_of(i), tap = quad / blocks_of(c.ic);
            tap_row_[i] = tap < c.kh * c.kw ? tap / c.kw - c.pad : -(1 << 30);  // that is outside
            tap_column_[i] = tap % c.kw - c.pad;
            block_[i] = quad % blocks_of(c.ic);
        }
    }

    // Starts the copies of a part of the next 16 pixels: the first brings y_bar, the last one goes on.
    __device__ void load(Stage<Shape>& stage, int part) {
        const bool inside = row_ < c_.oh;
        if (part == 0)
#pragma unroll
            for (int i = 0; i < kFilters; i++) {
                if (Shape::kFilterQuads < kApart && quad_of(i) >= Shape::kFilterQuads) continue;
                const int filter = filter_ + quad_of(i);
                const bool there = inside && filter < blocks_of(c_.oc);
                const int offset = there ? ((filter * c_.oh + row_) * c_.ow + column_) * kBlock : 0;
                copy(stage.y_bar[slot_][word_of(i)], passing_y_bar_[i], y_bar_ + offset, there);
            }
#pragma unroll
        for (int item = 0; item < kPartPatches; item++) {
            const int i = part * kPartPatches + item;
            const int h = row_ * c_.stride + tap_row_[i], v = column_ * c_.stride + tap_column_[i];
            const bool there = inside && unsigned(h) < unsigned(c_.ih) && unsigned(v) < unsigned(c_.iw);
            const int offset = there ? ((block_[i] * c_.ih + h) * c_.iw + v) * kBlock : 0;
            copy(stage.x[slot_][word_of(i)], passing_x_[item], x_ + offset, there);
        }
        if (part + 1 < Shape::kParts) return;
        row_ += row_step_;
        column_ += column_step_;
        if (column_ >= c_.ow) {
            column_ -= c_.ow;
            row_++;
        }
    }

    // On to the first pixels of the next image.
    __device__ void next_image() {
        x_ += int64_t(padded_channels(c_.ic)) * c_.ih * c_.iw;
        y_bar_ += int64_t(padded_channels(c_.oc)) * c_.oh * c_.ow;
        row_ = slot_ / c_.ow, column_ = slot_ % c_.ow;
    }

    // Ends those that go through registers.
    __device__ void land(Stage<Shape>& stage, int part) {
        if constexpr (Shape::kIsBf16) {
            if (part == 0)
#pragma unroll
                for (int i = 0; i < kFilters; i += kQuads)
                    st4(stage.y_bar[slot_][word_of(i)], bf16(passing_y_bar_[i], passing_y_bar_[i + 1]));
#pragma unroll
            for (int item = 0; item < kPartPatches; item += kQuads)
                st4(stage.x[slot_][word_of(part * kPartPatches + item)], bf16(passing_x_[item], passing_x_[item + 1]));
        }
    }

private:
    // Of a thread's i-th quad.
    static __device__ int word_of(int i) { return int(threadIdx.x) / Shape::kPixels + i / kQuads * kApart; }
    static __device__ int quad_of(int i) { return word_of(i) * kQuads + i % kQuads; }

    static __device__ void copy(float* shared, float4& passing, const float* from, bool there) {
        if constexpr (Shape::kIsBf16)
            passing = there ? ld4(from) : zero4();
        else
            ptx::copy_async16(shared, from, !there);
    }
    static __device__ float bf16x2(float low, float high) {
        return __uint_as_float(ptx::to_bf16x2(__float_as_uint(low), __float_as_uint(high)));
    }
    static __device__ float4 bf16(float4 a, float4 b) {
        return make_float4(bf16x2(a.x, a.y), bf16x2(a.z, a.w), bf16x2(b.x, b.y), bf16x2(b.z, b.w));
    }

    const Conv2d& c_;
    const float *x_, *y_bar_;
    int filter_, slot_, row_, column_, row_step_, column_step_;
    int block_[kPatches], tap_row_[kPatches], tap_column_[kPatches];
    float4 passing_y_bar_[kFilters], passing_x_[kPartPatches];
};

// Up to 8 filters x 8 components a thread: filter quads f, f + 8, patch quads p, p + 16. Lanes 2k and 2k + 1 share the filters, lanes k and
// k + 2 the patches: see conv2d_tile.cuh.
template <int kTileFilters>
class Fp32 {
    using Shape = gradient::Shape<Precision::kFp32, kTileFilters>;
    static constexpr int kFilterQuads = kTileFilters > 8 ? 2 : 1,
                         kPatchQuads = kTileFilters > 4 ? 2 : 1;  // of a thread
    static constexpr int kFilterThreads = kTileFilters / kFilterQuads, kPatchThreads = Shape::kPatchQuads / kPatchQuads;
    static_assert(kFilterThreads * kPatchThreads == kBlockThreads, "every thread has sums of its own");

public:
    __device__ void multiply(const Stage<Shape>& stage, int) {
#pragma unroll
        for (int pixel = 0; pixel < Shape::kPixels; pixel++) {
            float u[kFilterQuads * kBlock], v[kPatchQuads * kBlock];
            for (int i = 0; i < kFilterQuads; i++)
                split(ld4(stage.y_bar[pixel][filter() + i * kFilterThreads]), u + i * kBlock);
            for (int j = 0; j < kPatchQuads; j++)
                split(ld4(stage.x[pixel][patch() + j * kPatchThreads]), v + j * kBlock);
#pragma unroll
            for (int i = 0; i < kFilterQuads * kBlock; i++)
#pragma unroll
                for (int k = 0; k < kPatchQuads * kBlock; k++) {  // to and fro: a register read again is not fetched
                    const int j = i % 2 ? kPatchQuads * kBlock - 1 - k : k;
                    sum_[i][j] = fmaf(u[i], v[j], sum_[i][j]);
                }
        }
    }

    __device__ void clear() {
#pragma unroll
        for (int i = 0; i < kFilterQuads * kBlock; i++)
            for (int j = 0; j < kPatchQuads * kBlock; j++) sum_[i][j] = 0;
    }

    template <typename To>
    __device__ void write(To&& to, int first_filter, int first_quad) const {
#pragma unroll
        for (int i = 0; i < kQuads; i++) {
            const float* sum = sum_[i / kPatchQuads] + i % kPatchQuads * kBlock;
            to.put(first_filter + filter_of(i), first_quad + quad_of(i), 0,
                   Floats<kBlock>{{sum[0], sum[1], sum[2], sum[3]}});
        }
    }

    // Of a thread's sums, four components of the patch of one filter.
    static constexpr int kQuads = kFilterQuads * kBlock * kPatchQuads;
    static __device__ int filter_of(int i) {
        return (filter() + i / (kBlock * kPatchQuads) * kFilterThreads) * kBlock + i / kPatchQuads % kBlock;
    }
    static __device__ int quad_of(int i) { return patch() + i % kPatchQuads * kPatchThreads; }

private:
    static __device__ int filter() { return int(threadIdx.x) / 2 % kFilterThreads; }
    static __device__ int patch() { return int(threadIdx.x) % 2 + int(threadIdx.x) / (2 * kFilterThreads) * 2; }

    float sum_[kFilterQuads * kBlock][kPatchQuads * kBlock] = {};
};

template <Precision kPrecision, int kTileFilters>
using Product = std::conditional_t<kPrecision == Precision::kFp32, Fp32<kTileFilters>,
                                   std::conditional_t<kPrecision == Precision::kTf32, Tf32, Bf16>>;

// The totals of a block's sums, a thread's own in shared memory, in the order in which Fp32::write goes through them.
struct Totals {
    using Fp32 = gradient::Fp32<16>;
    float at[Fp32::kQuads][kBlockThreads][kBlock];

    // Adds unit times a block's sums.
    struct Adder {
        Totals& totals;
        float unit;
        int next = 0;

        __device__ void put(int, int, int, const Floats<kBlock>& sum) {
            float* own = totals.at[next++][threadIdx.x];
            Floats<kBlock> total = load_floats<kBlock>(own);
            for (int lane = 0; lane < kBlock; lane++) total.at[lane] += unit * sum.at[lane];
            store_floats(own, total);
        }
    };

    // From or to w_bar [oc, ic, taps].
    template <bool kStore>
    __device__ void move(const Conv2d& c, float* w_bar, int first_filter, int first_quad) {
        const int taps = c.kh * c.kw, blocks = blocks_of(c.ic);
#pragma unroll 1
        for (int i = 0; i < Fp32::kQuads; i++) {
            const int filter = first_filter + Fp32::filter_of(i), quad = first_quad + Fp32::quad_of(i);
            const int tap = quad / blocks, channel = quad % blocks * kBlock;
            float* own = at[i][threadIdx.x];
            Floats<kBlock> values{};
            if (kStore) values = load_floats<kBlock>(own);
            for (int lane = 0; lane < kBlock; lane++) {
                if (filter >= c.oc || tap >= taps || channel + lane >= c.ic) continue;
                float& value = w_bar[(int64_t(filter) * c.ic + channel + lane) * taps + tap];
                if (kStore)
                    value = values.at[lane];
                else
                    values.at[lane] = value;
            }
            if (!kStore) store_floats(own, values);
        }
    }
};
struct NoTotals {};

// Pixels of a part: whole stages.
__host__ __device__ inline int part_pixels(int pixels, int parts) {
    constexpr int kPixels = 16;
    return ceil_div(ceil_div(pixels, kPixels), parts) * kPixels;
}

template <Precision kPrecision, int kTileFilters, bool kDirect>
struct ImageSums {
    using Shape = gradient::Shape<kPrecision, kTileFilters>;
    struct Shared {
        Stage<Shape> stages[Shape::kStages];
        std::conditional_t<kDirect, Totals, NoTotals> totals;
    };
    static constexpr int kTogether =
        kPrecision != Precision::kFp32 ? 2 : 3;  // blocks; of fp32 four would fit, with more bank conflicts
};

// blockIdx: x tile of the patch, y tile of filters, z (image, part). sums [images][parts][oc][patch quads][4], or direct w_bar.
template <Precision kPrecision, int kTileFilters, bool kDirect>
__global__ void __launch_bounds__(kBlockThreads, ImageSums<kPrecision, kTileFilters, kDirect>::kTogether)
    image_sums_kernel(Conv2d c, const float* x, const float* y_bar, int parts, float* sums) {
    using Shape = gradient::Shape<kPrecision, kTileFilters>;
    constexpr int kStages = Shape::kStages, kAhead = kStages - 1;
    auto& s = shared<typename ImageSums<kPrecision, kTileFilters, kDirect>::Shared>();
    const int64_t image = kDirect ? 0 : int(blockIdx.z) / parts;
    const int part = kDirect ? 0 : int(blockIdx.z) % parts;
    const int first_patch = int(blockIdx.x) * Shape::kPatchQuads, first_filter = int(blockIdx.y) * Shape::kFilterQuads;
    const int pixels = part_pixels(c.oh * c.ow, parts), first_pixel = part * pixels;
    const int image_steps = ceil_div(min(pixels, c.oh * c.ow - first_pixel), Shape::kPixels);
    const int steps = kDirect ? c.n * image_steps : image_steps;
    Loader<Shape> loader(c, x + image * padded_channels(c.ic) * c.ih * c.iw,
                         y_bar + image * padded_channels(c.oc) * c.oh * c.ow, first_filter, first_patch, first_pixel);
    int loaded = 0, multiplied = 0;  // steps of an image; direct only
    auto after_load = [&] {
        if (kDirect && ++loaded == image_steps) {
            loader.next_image();
            loaded = 0;
        }
    };
    Product<kPrecision, kTileFilters> product;
    if constexpr (kDirect) s.totals.template move<false>(c, sums, first_filter * kBlock, first_patch);
    for (int step = 0; step < kAhead; step++) {
        if (step < steps) {
#pragma unroll
            for (int part_of_stage = 0; part_of_stage < Shape::kParts; part_of_stage++) {
                loader.load(s.stages[step], part_of_stage);
                loader.land(s.stages[step], part_of_stage);
            }
            after_load();
        }
        ptx::copy_commit();
    }
    for (int step = 0; step < steps; step++) {
        ptx::copy_wait<kAhead - 1>();
        __syncthreads();  // this step's copies are here, and the stage that is filled next has been read
        Stage<Shape>& next = s.stages[(step + kAhead) % kStages];
        const bool loads = step + kAhead < steps;
#pragma unroll
        for (int part_of_stage = 0; part_of_stage < Shape::kParts; part_of_stage++) {
            if (loads) loader.load(next, part_of_stage);
            product.multiply(s.stages[step % kStages], part_of_stage);
            if (loads) loader.land(next, part_of_stage);
        }
        ptx::copy_commit();
        if (loads) after_load();
        if constexpr (kDirect)
            if (++multiplied == image_steps) {
                product.write(Totals::Adder{s.totals, c.unit}, first_filter * kBlock, first_patch);
                product.clear();
                multiplied = 0;
            }
    }
    const int quads = c.kh * c.kw * blocks_of(c.ic);
    if constexpr (kDirect)
        s.totals.template move<true>(c, sums, first_filter * kBlock, first_patch);
    else
        product.write(Sums{sums + int64_t(blockIdx.z) * c.oc * quads * kBlock, c.oc, quads}, first_filter * kBlock,
                      first_patch);
}

template <Precision kPrecision, int kTileFilters>
dim3 tiles_of(const Conv2d& c) {
    using Shape = gradient::Shape<kPrecision, kTileFilters>;
    return dim3(unsigned(ceil_div(c.kh * c.kw * blocks_of(c.ic), Shape::kPatchQuads)),
                unsigned(ceil_div(blocks_of(c.oc), Shape::kFilterQuads)));
}

// Queues the sums of the parts of c.n images.
template <Precision kPrecision, int kTileFilters = 16>
void image_sums(const Conv2d& c, const float* x, const float* y_bar, int parts, float* sums) {
    if constexpr (kPrecision == Precision::kFp32 && kTileFilters > 4)
        if (blocks_of(c.oc) <= kTileFilters / 2)
            return image_sums<kPrecision, kTileFilters / 2>(c, x, y_bar, parts, sums);
    dim3 grid = tiles_of<kPrecision, kTileFilters>(c);
    grid.z = unsigned(c.n * parts);
    LQF_LAUNCH((image_sums_kernel<kPrecision, kTileFilters, false>), grid, dim3(kBlockThreads),
               sizeof(typename ImageSums<kPrecision, kTileFilters, false>::Shared), stream(), c, x, y_bar, parts, sums);
}

// Whether add_to_weights has enough to do for the device.
inline bool tiles_fill_device(const Conv2d& c) {
    const dim3 tiles = tiles_of<Precision::kFp32, 16>(c);
    return int(tiles.x * tiles.y) >= multiprocessors();
}

// Queues the sums of c.n images, each added to w_bar.
inline void add_to_weights(const Conv2d& c, const float* x, const float* y_bar, float* w_bar) {
    LQF_LAUNCH((image_sums_kernel<Precision::kFp32, 16, true>), tiles_of<Precision::kFp32, 16>(c), dim3(kBlockThreads),
               sizeof(typename ImageSums<Precision::kFp32, 16, true>::Shared), stream(), c, x, y_bar, 1, w_bar);
}

}  // namespace lqf::gpu::gradient
#endif
