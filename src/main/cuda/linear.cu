// linear: conv2d whose kernel is the whole input. A warp makes four outputs of one image: lanes stride through the inner dimension, a fixed
// tree adds them up. Reads every weight once an image and in 64 bytes in a row; a tile of 128 pixels would be nearly empty here.
#include "backend.h"
#include "conv2d_operands.cuh"

namespace lqf::gpu {
namespace {

constexpr int kWarps = kThreads / 32;

__device__ float dot4(float4 a, float4 b, float sum) {
    sum = fmaf(a.x, b.x, sum);
    sum = fmaf(a.y, b.y, sum);
    sum = fmaf(a.z, b.z, sum);
    sum = fmaf(a.w, b.w, sum);
    return sum;
}

template <bool kPrimal, bool kTangent>
__global__ void linear_kernel(Conv2d c, ConvOperands p) {
    const int lane = int(threadIdx.x) % 32, outputs = blocks_of(c.oc), inputs = blocks_of(c.ic);
    const int64_t task = int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
    if (task >= int64_t(c.n) * outputs) return;  // the whole warp
    const int64_t image = task / outputs;
    const int block = int(task % outputs), taps = c.kh * c.kw;
    const int64_t image_start = image * inputs * taps * kBlock, quad_floats = int64_t(outputs) * kBlock * kBlock;
    const int first_weight = block * kBlock * kBlock;
    Floats<kBlock> sum{}, sum_dot{};
    // quads as the weights have them, [tap][input block]
    int tap = lane / inputs, input = lane % inputs;
    const int tap_step = 32 / inputs, input_step = 32 % inputs;
    for (int64_t weight = lane * quad_floats + first_weight; tap < taps; weight += 32 * quad_floats) {
        const int64_t at = image_start + (int64_t(input) * taps + tap) * kBlock;
        const float4 x = p.x ? ld4(p.x + at) : zero4(), x_dot = kTangent && p.x_dot ? ld4(p.x_dot + at) : zero4();
#pragma unroll
        for (int j = 0; j < kBlock; j++) {
            const float4 w = ld4(p.w + weight + j * kBlock);
            if (kPrimal) sum.at[j] = dot4(x, w, sum.at[j]);
            if (kTangent && p.x_dot) sum_dot.at[j] = dot4(x_dot, w, sum_dot.at[j]);
            if (kTangent && p.delta) sum_dot.at[j] = dot4(x, ld4(p.delta + weight + j * kBlock), sum_dot.at[j]);
        }
        tap += tap_step;
        input += input_step;
        if (input >= inputs) {
            input -= inputs;
            tap++;
        }
    }
    for (int distance = 16; distance > 0; distance /= 2)
        for (int j = 0; j < kBlock; j++) {
            if (kPrimal) sum.at[j] += __shfl_xor_sync(kFullWarp, sum.at[j], distance);
            if (kTangent) sum_dot.at[j] += __shfl_xor_sync(kFullWarp, sum_dot.at[j], distance);
        }
    if (lane == 0) finish<kPrimal, kTangent>(p, (image * outputs + block) * kBlock, block * kBlock, sum, sum_dot);
}

template <bool kPrimal, bool kTangent>
void run(const Conv2d& c, const ConvOperands& p) {
    const int64_t tasks = int64_t(c.n) * blocks_of(c.oc);
    LQF_LAUNCH((linear_kernel<kPrimal, kTangent>), dim3(unsigned(ceil_div(tasks, int64_t(kWarps)))), dim3(kThreads), 0,
               stream(), c, p);
}

}  // namespace

void linear_product(const Conv2d& c, const ConvOperands& p) {
    if (p.y && p.y_dot)
        run<true, true>(c, p);
    else if (p.y)
        run<true, false>(c, p);
    else
        run<false, true>(c, p);
}

}  // namespace lqf::gpu
