// conv2d_vjp_w: w_bar += unit sum_t y_bar_t patch_t^T, b_bar += unit sum_t y_bar_t, images in order.
//
// Two stages, no atomics: the sum over one image's pixels for every weight goes to scratch [image][oc][taps][blocks][4], for as many images
// as fit, then the images' sums are added one after the other: the same bits for any split into batches. A block of the first makes 64
// output channels x 32 quads of the patch (128 components) of one image; a thread 8 x 8, so 16 floats are read for 64 FMA.
#include "backend.h"
#include "layout.cuh"
#include "ptx.cuh"

namespace lqf::gpu {
namespace {

constexpr int kPixels = 16, kFilterQuads = 16, kPatchQuads = 32, kBlockThreads = 128, kStages = 2;
constexpr size_t kScratchBytes = size_t(64) << 20;  // of images' sums

// One quad more than there is: pixels, which neighbouring threads write, then start in different banks.
struct Stage {
    float y_bar[kPixels][kFilterQuads + 1][kBlock];
    float x[kPixels][kPatchQuads + 1][kBlock];
};
struct Stages {
    Stage stages[kStages];
};

// What one thread brings in: at its pixel of every 16, two quads of y_bar and four of the patch.
class Loader {
    static constexpr int kApart = kBlockThreads / kPixels;  // quads between those of a thread
    static constexpr int kPatches = kPatchQuads / kApart, kFilters = kFilterQuads / kApart;

public:
    __device__ Loader(const Conv2d& c, const float* x, const float* y_bar, int first_filter, int first_patch)
        : c_(c), x_(x), y_bar_(y_bar), slot_(int(threadIdx.x) % kPixels), quad_(int(threadIdx.x) / kPixels) {
        row_ = slot_ / c.ow, column_ = slot_ % c.ow, pixel_ = slot_;
        row_step_ = kPixels / c.ow, column_step_ = kPixels % c.ow;
        filter_ = first_filter + quad_;
        for (int i = 0; i < kPatches; i++) {
            const int quad = first_patch + quad_ + i * kApart, tap = quad / blocks_of(c.ic);
            exists_[i] = tap < c.kh * c.kw;
            block_[i] = quad % blocks_of(c.ic);
            tap_row_[i] = tap / c.kw - c.pad;
            tap_column_[i] = tap % c.kw - c.pad;
        }
    }

    // Starts the copies of the next 16 pixels.
    __device__ void load(Stage& stage) {
        const bool inside = row_ < c_.oh;
#pragma unroll
        for (int i = 0; i < kFilters; i++) {
            const int filter = filter_ + i * kApart;
            const bool there = inside && filter < blocks_of(c_.oc);
            const int offset = there ? (filter * c_.oh * c_.ow + pixel_) * kBlock : 0;
            ptx::copy_async16(stage.y_bar[slot_][quad_ + i * kApart], y_bar_ + offset, !there);
        }
#pragma unroll
        for (int i = 0; i < kPatches; i++) {
            const int h = row_ * c_.stride + tap_row_[i], v = column_ * c_.stride + tap_column_[i];
            const bool there = inside && exists_[i] && unsigned(h) < unsigned(c_.ih) && unsigned(v) < unsigned(c_.iw);
            const int offset = there ? ((block_[i] * c_.ih + h) * c_.iw + v) * kBlock : 0;
            ptx::copy_async16(stage.x[slot_][quad_ + i * kApart], x_ + offset, !there);
        }
        pixel_ += kPixels;
        row_ += row_step_;
        column_ += column_step_;
        if (column_ >= c_.ow) {
            column_ -= c_.ow;
            row_++;
        }
    }

private:
    const Conv2d& c_;
    const float *x_, *y_bar_;
    int slot_, quad_, row_, column_, pixel_, row_step_, column_step_, filter_;
    int block_[kPatches], tap_row_[kPatches], tap_column_[kPatches];
    bool exists_[kPatches];
};

__device__ __forceinline__ void split(float4 v, float* lanes) {
    lanes[0] = v.x, lanes[1] = v.y, lanes[2] = v.z, lanes[3] = v.w;
}

// blockIdx: x tile of the patch, y tile of filters, z image. sums [images][oc][patch quads][4]
__global__ void __launch_bounds__(kBlockThreads, 4)
    image_sums_kernel(Conv2d c, const float* x, const float* y_bar, float* sums) {
    Stages& s = shared<Stages>();
    const int64_t image = blockIdx.z;
    const int first_patch = int(blockIdx.x) * kPatchQuads, first_filter = int(blockIdx.y) * kFilterQuads;
    Loader loader(c, x + image * padded_channels(c.ic) * c.ih * c.iw,
                  y_bar + image * padded_channels(c.oc) * c.oh * c.ow, first_filter, first_patch);
    // And filter + 8, patch + 16. Lanes 2k and 2k + 1 share the filters, lanes k and k + 2 the patches: see conv2d_tile.cuh.
    const int filter = int(threadIdx.x) / 2 % 8, patch = int(threadIdx.x) % 2 + int(threadIdx.x) / 16 * 2;
    const int steps = ceil_div(c.oh * c.ow, kPixels);
    float sum[8][8] = {};
    loader.load(s.stages[0]);
    ptx::copy_commit();
    for (int step = 0; step < steps; step++) {
        ptx::copy_wait<0>();
        __syncthreads();  // this step's copies are here, and the other stage has been read
        if (step + 1 < steps) loader.load(s.stages[(step + 1) % kStages]);
        ptx::copy_commit();
        const Stage& stage = s.stages[step % kStages];
#pragma unroll
        for (int pixel = 0; pixel < kPixels; pixel++) {
            float u[8], v[8];
            split(ld4(stage.y_bar[pixel][filter]), u);
            split(ld4(stage.y_bar[pixel][filter + 8]), u + 4);
            split(ld4(stage.x[pixel][patch]), v);
            split(ld4(stage.x[pixel][patch + 16]), v + 4);
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] = fmaf(u[i], v[j], sum[i][j]);
        }
    }
    const int quads = c.kh * c.kw * blocks_of(c.ic);
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < 8; j += kBlock) {
            const int o = (first_filter + filter + i / 4 * 8) * kBlock + i % 4;
            const int quad = first_patch + patch + j / 4 * 16;
            if (o < c.oc && quad < quads)
                st4(sums + ((image * c.oc + o) * quads + quad) * kBlock,
                    make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]));
        }
}

// Adds the sums of c.n images in order. One thread for one weight, as the sums stand.
__global__ void add_images_kernel(Conv2d c, const float* sums, float* w_bar, int64_t image_stride) {
    const int taps = c.kh * c.kw, quads = taps * blocks_of(c.ic);
    const int64_t image_sums = int64_t(c.oc) * quads * kBlock, i = global_thread();
    if (i >= image_sums) return;
    const int lane = int(i % kBlock), quad = int(i / kBlock % quads), o = int(i / kBlock / quads);
    const int channel = quad % blocks_of(c.ic) * kBlock + lane;
    if (channel >= c.ic) return;
    float* target = w_bar + (int64_t(o) * c.ic + channel) * taps + quad / blocks_of(c.ic);
    if (image_stride != 0) {
        for (int image = 0; image < c.n; image++) target[image * image_stride] += c.unit * sums[image * image_sums + i];
        return;
    }
    float sum = *target;
    for (int image = 0; image < c.n; image++) sum += c.unit * sums[image * image_sums + i];
    *target = sum;
}

struct WarpSums {
    float sums[kBlockThreads / 32][kBlock];
};

// One block for four channels: a fixed tree over an image's pixels, images in order.
__global__ void bias_kernel(Conv2d c, const float* y_bar, float* b_bar, int64_t image_stride) {
    WarpSums& s = shared<WarpSums>();
    const int pixels = c.oh * c.ow, block = int(blockIdx.x), thread = int(threadIdx.x);
    for (int image = 0; image < c.n; image++) {
        const float* plane = y_bar + (int64_t(image) * blocks_of(c.oc) + block) * pixels * kBlock;
        float4 sum = zero4();
        for (int pixel = thread; pixel < pixels; pixel += kBlockThreads)
            sum = sum + ld4(plane + int64_t(pixel) * kBlock);
        float lanes[kBlock];
        split(sum, lanes);
        for (int lane = 0; lane < kBlock; lane++)
            for (int distance = 16; distance > 0; distance /= 2)
                lanes[lane] += __shfl_xor_sync(kFullWarp, lanes[lane], distance);
        if (thread % 32 == 0)
            for (int lane = 0; lane < kBlock; lane++) s.sums[thread / 32][lane] = lanes[lane];
        __syncthreads();
        if (thread < kBlock && block * kBlock + thread < c.oc) {
            float total = 0;
            for (int warp = 0; warp < kBlockThreads / 32; warp++) total += s.sums[warp][thread];
            b_bar[image * image_stride + block * kBlock + thread] += c.unit * total;
        }
        __syncthreads();
    }
}

}  // namespace

void conv2d_vjp_w(Threads&, const Conv2d& c, const float* x, const float* y_bar, float* w_bar, float* b_bar,
                  int64_t image_stride) {
    const int64_t quads = int64_t(c.kh) * c.kw * blocks_of(c.ic), image_sums = int64_t(c.oc) * quads * kBlock;
    const int64_t x_floats = int64_t(padded_channels(c.ic)) * c.ih * c.iw;
    const int64_t y_floats = int64_t(padded_channels(c.oc)) * c.oh * c.ow;
    const int at_once = int(min(int64_t(c.n), max(int64_t(1), int64_t(kScratchBytes / sizeof(float)) / image_sums)));
    Scratch sums(size_t(at_once * image_sums) * sizeof(float));
    const dim3 tiles(unsigned(ceil_div(quads, int64_t(kPatchQuads))),
                     unsigned(ceil_div(blocks_of(c.oc), kFilterQuads)));
    for (int first = 0; first < c.n; first += at_once) {
        Conv2d part = c;
        part.n = min(at_once, c.n - first);
        LQF_LAUNCH(image_sums_kernel, dim3(tiles.x, tiles.y, unsigned(part.n)), dim3(kBlockThreads), sizeof(Stages),
                   stream(), part, x + first * x_floats, y_bar + first * y_floats, sums.at<float>(0));
        LQF_LAUNCH(add_images_kernel, grid_of(image_sums), dim3(kThreads), 0, stream(), part, sums.at<float>(0),
                   w_bar + first * image_stride, image_stride);
    }
    LQF_LAUNCH(bias_kernel, dim3(unsigned(blocks_of(c.oc))), dim3(kBlockThreads), sizeof(WarpSums), stream(), c, y_bar,
               b_bar, image_stride);
}

}  // namespace lqf::gpu
