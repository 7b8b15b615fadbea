// conv2d_pack: weights as the right-hand matrix of the implicit product, [tap][packet of input channels][output channel][16 bytes], rounded
// to the precision of that product: four channels in fp32 and tf32, eight in bf16, filled up with zeros; then the bias [output channel].
// Transposed: the same with input and output changed over, without bias.
#include "backend.h"
#include "conv2d_operands.cuh"
#include "ptx.cuh"

namespace lqf::gpu {
namespace {

// The weights w [oc, ic, taps] of a product that sums over `inner` channels and makes `outer` ones.
struct Weights {
    const float* w;
    int oc, ic, taps;
    bool transposed;
    float unit;

    __device__ int inner() const { return transposed ? oc : ic; }
    __device__ int outer() const { return transposed ? ic : oc; }
    __device__ unsigned at(int tap, int row, int column) const {
        const int o = transposed ? row : column, c = transposed ? column : row;
        return __float_as_uint(o < oc && c < ic ? unit * w[(int64_t(o) * ic + c) * taps + tap] : 0.0f);
    }
};

// One thread makes one word of 4 bytes; the last ones the bias, if there is one.
template <Precision kPrecision>
__global__ void pack_kernel(int64_t words, Weights weights, const float* b, float* packed, float* packed_bias) {
    constexpr int kChannels = kPrecision == Precision::kBf16 ? 8 : 4;  // of a packet
    const int64_t i = global_thread();
    const int columns = padded_channels(weights.outer());
    if (i >= words) {
        const int column = int(i - words);
        if (b && column < columns) packed_bias[column] = column < weights.outer() ? weights.unit * b[column] : 0.0f;
        return;
    }
    const int word = int(i % kBlock), column = int(i / kBlock % columns), packet = int(i / kBlock / columns);
    const int packets = ceil_div(weights.inner(), kChannels), tap = packet / packets;
    const int row = packet % packets * kChannels + word * (kChannels / kBlock);
    unsigned bits = weights.at(tap, row, column);
    if (kPrecision == Precision::kTf32) bits = ptx::to_tf32(bits);
    if (kPrecision == Precision::kBf16) bits = ptx::to_bf16x2(bits, weights.at(tap, row + 1, column));
    packed[i] = __uint_as_float(bits);
}

template <Precision kPrecision>
void pack(const Conv2d& c, bool transposed, float unit, const float* w, const float* b, float* packed) {
    constexpr int kChannels = kPrecision == Precision::kBf16 ? 8 : 4;
    const int inner = transposed ? c.oc : c.ic, columns = padded_channels(transposed ? c.ic : c.oc), taps = c.kh * c.kw;
    const int64_t words = int64_t(ceil_div(inner, kChannels)) * kBlock * columns * taps;
    LQF_LAUNCH(pack_kernel<kPrecision>, grid_of(words + (b ? columns : 0)), dim3(kThreads), 0, stream(), words,
               Weights{w, c.oc, c.ic, taps, transposed, unit}, b, packed, packed + bias_offset(c));
}

void pack(int precision, const Conv2d& c, bool transposed, float unit, const float* w, const float* b, float* packed) {
    switch (precision) {
        case LQF_TF32:
            return pack<Precision::kTf32>(c, transposed, unit, w, b, packed);
        case LQF_BF16:
            return pack<Precision::kBf16>(c, transposed, unit, w, b, packed);
        default:
            return pack<Precision::kFp32>(c, transposed, unit, w, b, packed);
    }
}

}  // namespace

size_t conv2d_packed_floats(const Conv2d& c) { return size_t(bias_offset(c)) + size_t(padded_channels(c.oc)); }

void conv2d_pack(Threads&, const Conv2d& c, const float* w, const float* b, float* packed) {
    pack(is_linear(c) ? LQF_FP32 : c.precision, c, false, c.unit, w, b, packed);
}

void conv2d_pack_transposed(Threads&, const Conv2d& c, const float* w, float* packed) {
    pack(c.precision, c, true, 1, w, nullptr, packed);
}

}  // namespace lqf::gpu
