// One image's weight gradient, an implicit matrix product over its pixels, no patch matrix in memory:
//
//   sum[o, q] = sum_t y_bar[t, o] patch[t, q]      t: output pixels of one image, o: output channels, q: quads of the patch (tap, channels)
//
// A block makes 64 output channels x 32 quads (128 components), on tensor cores x 64 quads. 16 pixels are a stage; while one is multiplied
// the next are on their way, zeros for padding.
//
//          arithmetic                     operands are rounded                             copies
//   fp32   FFMA, 8 x 8 sums a thread      not at all                                       cp.async
//   tf32   mma.sync, 64 x 64 sums a warp  when they leave shared memory, by 16-byte loads  cp.async
//   bf16   the same                       on their way into shared memory, whence          through registers
//                                         ldmatrix takes them transposed
// Sums are fp32 in all three. Speed: not measured, see the bound in bench/results.
#ifndef LQF_GPU_CONV2D_VJP_W_TILE_CUH
#define LQF_GPU_CONV2D_VJP_W_TILE_CUH

#include "backend.h"
#include "conv2d_vjp_w_tensor.cuh"

namespace lqf::gpu::gradient {

// What one thread brings in: at its pixel of every 16, quads of y_bar and of the patch, those of 16 bytes next to each other.
template <typename Shape>
class Loader {
    static constexpr int kApart = kBlockThreads / Shape::kPixels;  // between words of 16 bytes
    static constexpr int kFilters = Shape::kFilterQuads / kApart, kPatches = Shape::kPatchQuads / kApart;
    static constexpr int kPartPatches = kPatches / Shape::kParts, kQuads = Shape::kQuads;

public:
    __device__ Loader(const Conv2d& c, const float* x, const float* y_bar, int first_filter, int first_patch)
        : c_(c), x_(x), y_bar_(y_bar), filter_(first_filter), slot_(int(threadIdx.x) % Shape::kPixels) {
        row_ = slot_ / c.ow, column_ = slot_ % c.ow;
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

// 8 filters x 8 components a thread: filter quads f, f + 8, patch quads p, p + 16. Lanes 2k and 2k + 1 share the filters, lanes k and k + 2
// the patches: see conv2d_tile.cuh.
class Fp32 {
    using Shape = gradient::Shape<Precision::kFp32>;

public:
    __device__ void multiply(const Stage<Shape>& stage, int) {
#pragma unroll
        for (int pixel = 0; pixel < Shape::kPixels; pixel++) {
            float u[8], v[8];
            split(ld4(stage.y_bar[pixel][filter()]), u);
            split(ld4(stage.y_bar[pixel][filter() + 8]), u + 4);
            split(ld4(stage.x[pixel][patch()]), v);
            split(ld4(stage.x[pixel][patch() + 16]), v + 4);
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum_[i][j] = fmaf(u[i], v[j], sum_[i][j]);
        }
    }

    __device__ void write(const Sums& to, int first_filter, int first_quad) const {
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < 8; j += kBlock)
                to.put(first_filter + (filter() + i / 4 * 8) * kBlock + i % 4, first_quad + patch() + j / 4 * 16, 0,
                       Floats<kBlock>{{sum_[i][j], sum_[i][j + 1], sum_[i][j + 2], sum_[i][j + 3]}});
    }

private:
    static __device__ int filter() { return int(threadIdx.x) / 2 % 8; }
    static __device__ int patch() { return int(threadIdx.x) % 2 + int(threadIdx.x) / 16 * 2; }

    float sum_[8][8] = {};
};

template <Precision kPrecision>
using Product = std::conditional_t<kPrecision == Precision::kFp32, Fp32,
                                   std::conditional_t<kPrecision == Precision::kTf32, Tf32, Bf16>>;

// blockIdx: x tile of the patch, y tile of filters, z image. sums [images][oc][patch quads][4]
template <Precision kPrecision>
__global__ void __launch_bounds__(kBlockThreads, kPrecision == Precision::kFp32 ? 4 : 2)
    image_sums_kernel(Conv2d c, const float* x, const float* y_bar, float* sums) {
    using Shape = gradient::Shape<kPrecision>;
    constexpr int kStages = Shape::kStages, kAhead = kStages - 1;
    struct Shared {
        Stage<Shape> stages[kStages];
    };
    Shared& s = shared<Shared>();
    const int64_t image = blockIdx.z;
    const int first_patch = int(blockIdx.x) * Shape::kPatchQuads, first_filter = int(blockIdx.y) * Shape::kFilterQuads;
    const int steps = ceil_div(c.oh * c.ow, Shape::kPixels);
    Loader<Shape> loader(c, x + image * padded_channels(c.ic) * c.ih * c.iw,
                         y_bar + image * padded_channels(c.oc) * c.oh * c.ow, first_filter, first_patch);
    Product<kPrecision> product;
    for (int step = 0; step < kAhead; step++) {
        if (step < steps)
#pragma unroll
            for (int part = 0; part < Shape::kParts; part++) {
                loader.load(s.stages[step], part);
                loader.land(s.stages[step], part);
            }
        ptx::copy_commit();
    }
    for (int step = 0; step < steps; step++) {
        ptx::copy_wait<kAhead - 1>();
        __syncthreads();  // this step's copies are here, and the stage that is filled next has been read
        Stage<Shape>& next = s.stages[(step + kAhead) % kStages];
        const bool loads = step + kAhead < steps;
#pragma unroll
        for (int part = 0; part < Shape::kParts; part++) {
            if (loads) loader.load(next, part);
            product.multiply(s.stages[step % kStages], part);
            if (loads) loader.land(next, part);
        }
        ptx::copy_commit();
    }
    const int quads = c.kh * c.kw * blocks_of(c.ic);
    product.write(Sums{sums + image * c.oc * quads * kBlock, c.oc, quads}, first_filter * kBlock, first_patch);
}

// Queues the sums of c.n images.
template <Precision kPrecision>
void image_sums(const Conv2d& c, const float* x, const float* y_bar, float* sums) {
    using Shape = gradient::Shape<kPrecision>;
    const dim3 grid(unsigned(ceil_div(c.kh * c.kw * blocks_of(c.ic), Shape::kPatchQuads)),
                    unsigned(ceil_div(blocks_of(c.oc), Shape::kFilterQuads)), unsigned(c.n));
    LQF_LAUNCH(image_sums_kernel<kPrecision>, grid, dim3(kBlockThreads), sizeof(Stage<Shape>[Shape::kStages]), stream(),
               c, x, y_bar, sums);
}

}  // namespace lqf::gpu::gradient
#endif
