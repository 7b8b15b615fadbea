// conv2d_vjp_w: w_bar += unit sum_t y_bar_t patch_t^T, b_bar += unit sum_t y_bar_t, images in order.
//
// Two stages, no atomics: the sums over an image's pixels for every weight go to scratch [image][part][oc][taps][blocks][4], for as many images
// as fit (conv2d_vjp_w_tile.cuh), then the images' sums are added one after the other: the same bits for any split into batches. Where the
// weights' tiles fill the device, in fp32, both stages are one. Biases likewise.
#include "backend.h"
#include "conv2d_vjp_w_tile.cuh"

namespace lqf::gpu {
namespace {

constexpr int kBiasThreads = 128;
constexpr int64_t kMostGridZ = 65535;  // blocks

int precision_of(const Conv2d& c) { return is_linear(c) ? LQF_FP32 : c.precision; }  // linear: of one pixel

void sum_images(const Conv2d& c, const float* x, const float* y_bar, int parts, float* sums) {
    switch (precision_of(c)) {
        case LQF_TF32:
            return gradient::image_sums<Precision::kTf32>(c, x, y_bar, parts, sums);
        case LQF_BF16:
            return gradient::image_sums<Precision::kBf16>(c, x, y_bar, parts, sums);
        default:
            return gradient::image_sums<Precision::kFp32>(c, x, y_bar, parts, sums);
    }
}

// Of an image's pixels: so that few images of few weights fill the device too.
int parts_of(int pixels) { return pixels >= 8192 ? 8 : pixels >= 2048 ? 4 : pixels >= 512 ? 2 : 1; }

// Adds the sums of c.n images in order. One thread for one weight, as the sums stand.
__global__ void add_images_kernel(Conv2d c, int parts, const float* sums, float* w_bar, int64_t image_stride) {
    const int taps = c.kh * c.kw, quads = taps * blocks_of(c.ic);
    const int64_t image_sums = int64_t(c.oc) * quads * kBlock, i = global_thread();
    if (i >= image_sums) return;
    const int lane = int(i % kBlock), quad = int(i / kBlock % quads), o = int(i / kBlock / quads);
    const int channel = quad % blocks_of(c.ic) * kBlock + lane;
    if (channel >= c.ic) return;
    float* target = w_bar + (int64_t(o) * c.ic + channel) * taps + quad / blocks_of(c.ic);
    auto sum_of = [&](int image) {
        const float* from = sums + int64_t(image) * parts * image_sums + i;
        float sum = *from;
        for (int part = 1; part < parts; part++) sum += from[part * image_sums];
        return c.unit * sum;
    };
    if (image_stride != 0) {
        for (int image = 0; image < c.n; image++) target[image * image_stride] += sum_of(image);
        return;
    }
    float total = *target;
    for (int image = 0; image < c.n; image++) total += sum_of(image);
    *target = total;
}

struct WarpSums {
    float sums[kBiasThreads / 32][kBlock];
};

// One block for four channels of one image: a fixed tree over its pixels. sums [images][channels]
__global__ void bias_kernel(Conv2d c, const float* y_bar, float* sums) {
    WarpSums& s = shared<WarpSums>();
    const int pixels = c.oh * c.ow, image = int(blockIdx.x), block = int(blockIdx.y), thread = int(threadIdx.x);
    const float* plane = y_bar + (int64_t(image) * blocks_of(c.oc) + block) * pixels * kBlock;
    float4 sum = zero4();
    for (int pixel = thread; pixel < pixels; pixel += kBiasThreads) sum = sum + ld4(plane + int64_t(pixel) * kBlock);
    float lanes[kBlock];
    gradient::split(sum, lanes);
    for (int lane = 0; lane < kBlock; lane++)
        for (int distance = 16; distance > 0; distance /= 2)
            lanes[lane] += __shfl_xor_sync(kFullWarp, lanes[lane], distance);
    if (thread % 32 == 0)
        for (int lane = 0; lane < kBlock; lane++) s.sums[thread / 32][lane] = lanes[lane];
    __syncthreads();
    if (thread >= kBlock) return;
    float total = 0;
    for (int warp = 0; warp < kBiasThreads / 32; warp++) total += s.sums[warp][thread];
    sums[int64_t(image) * padded_channels(c.oc) + block * kBlock + thread] = total;
}

// One thread for one channel, images in order.
__global__ void add_biases_kernel(Conv2d c, const float* sums, float* b_bar, int64_t image_stride) {
    const int channel = int(global_thread());
    if (channel >= c.oc) return;
    for (int image = 0; image < c.n; image++)
        b_bar[image * image_stride + channel] += c.unit * sums[int64_t(image) * padded_channels(c.oc) + channel];
}

void bias_vjp(const Conv2d& c, const float* y_bar, float* b_bar, int64_t image_stride) {
    const Scratch sums(size_t(c.n) * size_t(padded_channels(c.oc)) * sizeof(float));
    LQF_LAUNCH(bias_kernel, dim3(unsigned(c.n), unsigned(blocks_of(c.oc))), dim3(kBiasThreads), sizeof(WarpSums),
               stream(), c, y_bar, sums.at<float>(0));
    LQF_LAUNCH(add_biases_kernel, grid_of(c.oc), dim3(kThreads), 0, stream(), c, sums.at<float>(0), b_bar,
               image_stride);
}

}  // namespace

void conv2d_vjp_w(Threads&, const Conv2d& c, const float* x, const float* y_bar, float* w_bar, float* b_bar,
                  int64_t image_stride) {
    bias_vjp(c, y_bar, b_bar, image_stride);
    const int parts = parts_of(c.oh * c.ow);
    // NOTE: the bits of the other way, for images that are not cut: no card's size shows.
    if (image_stride == 0 && parts == 1 && precision_of(c) == LQF_FP32 && gradient::tiles_fill_device(c))
        return gradient::add_to_weights(c, x, y_bar, w_bar);
    const int64_t quads = int64_t(c.kh) * c.kw * blocks_of(c.ic), image_sums = int64_t(c.oc) * quads * kBlock;
    const int64_t x_floats = int64_t(padded_channels(c.ic)) * c.ih * c.iw;
    const int64_t y_floats = int64_t(padded_channels(c.oc)) * c.oh * c.ow;
    const int64_t fitting = int64_t(scratch_for_sums() / sizeof(float)) / (parts * image_sums);
    const int64_t launchable = kMostGridZ / parts;
    const int at_once = int(min(min(int64_t(c.n), launchable), max(int64_t(1), fitting)));
    Scratch sums(size_t(at_once * parts * image_sums) * sizeof(float));
    for (int first = 0; first < c.n; first += at_once) {
        Conv2d part = c;
        part.n = min(at_once, c.n - first);
        sum_images(part, x + first * x_floats, y_bar + first * y_floats, parts, sums.at<float>(0));
        LQF_LAUNCH(add_images_kernel, grid_of(image_sums), dim3(kThreads), 0, stream(), part, parts, sums.at<float>(0),
                   w_bar + first * image_stride, image_stride);
    }
}

}  // namespace lqf::gpu
