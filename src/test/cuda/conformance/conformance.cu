#include "conformance.h"
#include "conv2d_vjp_w_tensor.cuh"
#include "ptx.cuh"

namespace lqf::gpu::conformance {
namespace {

__device__ __forceinline__ float as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
__device__ __forceinline__ uint32_t as_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
__device__ __forceinline__ double double_of(uint32_t high_word) {
    const uint64_t bits = uint64_t(high_word) << 32 | 12345u;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
__device__ __forceinline__ uint32_t high_word(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return uint32_t(bits) == 12345u ? uint32_t(bits >> 32) : 0;  // the low word came along
}

struct Groups {
    float words[3][32][4];
};

__global__ void copy_async(const float* in, float* out) {
    Groups& s = shared<Groups>();
    const int lane = int(threadIdx.x);
    in += blockIdx.x * sizeof(Groups) / sizeof(float), out += blockIdx.x * sizeof(Groups) / sizeof(float);
    auto copied = [&](int group) { st4(out + (group * 32 + lane) * 4, ld4(s.words[group][lane])); };
    for (int group = 0; group < 3; group++) {
        ptx::copy_async16(s.words[group][lane], in + (group * 32 + lane) * 4, (lane + group) % 3 == 0);
        ptx::copy_commit();
    }
    ptx::copy_wait<1>();
    copied(0);
    copied(1);
    ptx::copy_wait<0>();
    copied(2);
}

struct Rows {
    float words[32][4];
};

template <bool kTransposed>
__global__ void load_matrix(const float* in, float* out) {
    Rows& s = shared<Rows>();
    const int lane = int(threadIdx.x);
    st4(s.words[lane], ld4(in + (blockIdx.x * 32 + lane) * 4));
    __syncwarp();
    unsigned r[4];
    const float* row = s.words[(5 * lane + 3) % 32];
    if (kTransposed)
        ptx::load_matrix_x4_transposed(r, row);
    else
        ptx::load_matrix_x4(r, row);
    for (int i = 0; i < 4; i++) out[(blockIdx.x * 32 + lane) * 4 + i] = as_float(r[i]);
}

__global__ void to_tf32(const float* in, float* out) {
    const int64_t i = global_thread();
    out[i] = as_float(ptx::to_tf32(as_bits(in[i])));
}

__global__ void tf32_for_mma_kernel(const float* in, float* out) {
    const int64_t i = global_thread();
    out[i] = as_float(gradient::tf32_for_mma(in[i]) & 0xffffe000u);
}

__global__ void to_bf16(const float* in, float* out) {
    const int64_t i = global_thread();
    out[i] = as_float(ptx::to_bf16x2(as_bits(in[2 * i]), as_bits(in[2 * i + 1])));
}

template <bool kTf32>
__global__ void mma(const float* in, float* out) {
    const int64_t i = global_thread();
    unsigned a[4], b[2];
    float d[4];
    for (int k = 0; k < 4; k++) a[k] = as_bits(in[10 * i + k]);
    for (int k = 0; k < 2; k++) b[k] = as_bits(in[10 * i + 4 + k]);
    for (int k = 0; k < 4; k++) d[k] = in[10 * i + 6 + k];
    if (kTf32)
        ptx::mma_tf32_16x8x8(d, a, b[0], b[1]);
    else
        ptx::mma_bf16_16x8x16(d, a, b[0], b[1]);
    for (int k = 0; k < 4; k++) out[4 * i + k] = d[k];
}

__global__ void shuffle(const float* in, float* out) {
    const int64_t i = global_thread();
    const int lane = int(threadIdx.x);
    const float value = in[i];
    const double wide = double_of(as_bits(value));
    out[6 * i] = __shfl_sync(kFullWarp, value, 7 * lane % 32);
    out[6 * i + 1] = __shfl_xor_sync(kFullWarp, value, 5);
    out[6 * i + 2] = __shfl_down_sync(kFullWarp, value, 3);
    out[6 * i + 3] = as_float(high_word(__shfl_sync(kFullWarp, wide, 7 * lane % 32)));
    out[6 * i + 4] = as_float(high_word(__shfl_xor_sync(kFullWarp, wide, 5)));
    out[6 * i + 5] = as_float(high_word(__shfl_down_sync(kFullWarp, wide, 3)));
}

struct Kernel {
    void (*run)(const float* in, float* out);
    const char* name;
    size_t in_words, out_words, shared_bytes;  // of a warp
};

Kernel kernel_of(Wrapper wrapper) {
    switch (wrapper) {
        case Wrapper::kCopyAsync:
            return {copy_async, "copy_async", 384, 384, sizeof(Groups)};
        case Wrapper::kLoadMatrix:
            return {load_matrix<false>, "load_matrix", 128, 128, sizeof(Rows)};
        case Wrapper::kLoadTransposed:
            return {load_matrix<true>, "load_matrix<transposed>", 128, 128, sizeof(Rows)};
        case Wrapper::kToTf32:
            return {to_tf32, "to_tf32", 32, 32, 0};
        case Wrapper::kTf32ForMma:
            return {tf32_for_mma_kernel, "tf32_for_mma", 32, 32, 0};
        case Wrapper::kToBf16:
            return {to_bf16, "to_bf16", 64, 32, 0};
        case Wrapper::kMmaTf32:
            return {mma<true>, "mma<tf32>", 320, 128, 0};
        case Wrapper::kMmaBf16:
            return {mma<false>, "mma<bf16>", 320, 128, 0};
        default:
            return {shuffle, "shuffle", 32, 192, 0};
    }
}

}  // namespace

Words run(Wrapper wrapper, const Words& in) {
    const Kernel k = kernel_of(wrapper);
    const size_t warps = in.size() / k.in_words;
    Words out(warps * k.out_words);
    const size_t in_bytes = in.size() * sizeof(uint32_t), out_bytes = out.size() * sizeof(uint32_t);
    void *device_in = nullptr, *device_out = nullptr;
    const cudaStream_t stream = nullptr;  // the default one, as host memory is not pinned
    CUDA_CHECK(cudaMalloc(&device_in, in_bytes));
    CUDA_CHECK(cudaMalloc(&device_out, out_bytes));
    CUDA_CHECK(cudaMemcpyAsync(device_in, in.data(), in_bytes, cudaMemcpyHostToDevice, stream));
    CUDA_CHECK(cudaMemsetAsync(device_out, 0xff, out_bytes, stream));
    launch(k.name, k.run, dim3(unsigned(warps)), dim3(32), k.shared_bytes, stream, static_cast<float*>(device_in),
           static_cast<float*>(device_out));
    CUDA_CHECK(cudaMemcpyAsync(out.data(), device_out, out_bytes, cudaMemcpyDeviceToHost, stream));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    CUDA_CHECK(cudaFree(device_in));
    CUDA_CHECK(cudaFree(device_out));
    return out;
}

}  // namespace lqf::gpu::conformance
