// conv2d_pack: weights as the right-hand matrix of the implicit product, [tap][input block][output channel][4 input channels], channels
// filled up to four with zeros; then the bias [output channel]. Transposed: the same with input and output changed over, without bias.
#include "backend.h"
#include "layout.cuh"

namespace lqf::gpu {
namespace {

// w [oc, ic, taps]; the product sums over `inner` channels and makes `outer` ones.
__global__ void pack_kernel(int64_t count, int oc, int ic, int taps, bool transposed, float unit, const float* w,
                            const float* b, float* packed) {
    const int64_t i = global_thread();
    if (i >= count) return;
    const int inner = transposed ? oc : ic, outer = transposed ? ic : oc, columns = padded_channels(outer);
    const int64_t weights = int64_t(padded_channels(inner)) * taps * columns;
    if (i >= weights) {
        packed[i] = i - weights < outer ? unit * b[i - weights] : 0.0f;
        return;
    }
    const int lane = int(i % kBlock), column = int(i / kBlock % columns), quad = int(i / kBlock / columns);
    const int tap = quad / blocks_of(inner), row = quad % blocks_of(inner) * kBlock + lane;
    const int o = transposed ? row : column, c = transposed ? column : row;
    packed[i] = o < oc && c < ic ? unit * w[(int64_t(o) * ic + c) * taps + tap] : 0.0f;
}

void pack(const Conv2d& c, bool transposed, float unit, const float* w, const float* b, float* packed) {
    const int taps = c.kh * c.kw;
    int64_t count = int64_t(padded_channels(c.ic)) * padded_channels(c.oc) * taps;
    if (b) count += padded_channels(c.oc);
    LQF_LAUNCH(pack_kernel, grid_of(count), dim3(kThreads), 0, stream(), count, c.oc, c.ic, taps, transposed, unit, w,
               b, packed);
}

}  // namespace

size_t conv2d_packed_floats(const Conv2d& c) {
    return size_t(padded_channels(c.ic)) * size_t(c.kh * c.kw) * size_t(padded_channels(c.oc)) +
           size_t(padded_channels(c.oc));
}

void conv2d_pack(Threads&, const Conv2d& c, const float* w, const float* b, float* packed) {
    pack(c, false, c.unit, w, b, packed);
}

void conv2d_pack_transposed(Threads&, const Conv2d& c, const float* w, float* packed) {
    pack(c, true, 1, w, nullptr, packed);
}

}  // namespace lqf::gpu
