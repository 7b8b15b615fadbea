// The border between plain order and [n, ceil(c / 4), h, w, 4].
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

// One thread a float of y, lanes beyond c included.
__global__ void pack_kernel(int64_t count, int c, int pixels, const float* x /*[n,c,pixels]*/, float* y) {
    const int64_t i = global_thread();
    if (i >= count) return;
    const int blocks = blocks_of(c);
    const int lane = int(i % kBlock), pixel = int(i / kBlock % pixels);
    const int64_t plane = i / kBlock / pixels, image = plane / blocks;
    const int channel = int(plane % blocks) * kBlock + lane;
    y[i] = channel < c ? x[(image * c + channel) * pixels + pixel] : 0.0f;
}

__global__ void unpack_kernel(int64_t count, int c, const float* y /*[n,ceil(c/4),1,1,4]*/, float* x /*[n,c]*/) {
    const int64_t i = global_thread();
    if (i >= count) return;
    x[i] = y[i / c * padded_channels(c) + i % c];
}

void pack(int n, int c, int pixels, const float* x, float* y) {
    const int64_t count = int64_t(n) * padded_channels(c) * pixels;
    LQF_LAUNCH(pack_kernel, grid_of(count), dim3(kThreads), 0, stream(), count, c, pixels, x, y);
}

}  // namespace

void import_images(Threads&, int n, int c, int h, int w, const float* images, float* x) {
    pack(n, c, h * w, images, x);
}

void import_cotangent(Threads&, int n, int c, const float* u, float* y_bar) { pack(n, c, 1, u, y_bar); }

void export_outputs(Threads&, int n, int c, const float* y, float* out) {
    const int64_t count = int64_t(n) * c;
    LQF_LAUNCH(unpack_kernel, grid_of(count), dim3(kThreads), 0, stream(), count, c, y, out);
}

}  // namespace lqf::gpu
