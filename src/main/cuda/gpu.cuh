// The only header that a kernel file includes: CUDA where nvcc compiles it, the emulator where g++ does.
//
// What kernels may use: by-value parameters (plain structs) and pointers, __syncthreads, full-mask warp functions outside divergent
// branches, shared<T>(), ld4/st4/ld2/st2 for wide accesses, fmaf by name where bits must not depend on a compiler's choice, ptx.cuh. No static __shared__, no atomics on floats (sums have one order),
// no <<<>>>, no grid-wide synchronisation, no inline PTX elsewhere.
#ifndef LQF_GPU_CUH
#define LQF_GPU_CUH

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "emulator/hooks.h"
#include "emulator/language.h"
#include "emulator/runtime.h"
#endif

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#ifdef LQF_PTX
#include <tuple>

#include "ptx/ptx.h"
#endif
#include <type_traits>

namespace lqf::gpu {

constexpr unsigned kFullWarp = 0xffffffffu;

// Throws unless the call succeeded.
inline void check(cudaError_t error, const char* expression, const char* file, int line) {
    if (error != cudaSuccess)
        throw std::runtime_error(std::string(expression) + " (" + file + ":" + std::to_string(line) +
                                 "): " + cudaGetErrorName(error) + ", " + cudaGetErrorString(error));
}
#define CUDA_CHECK(expression) ::lqf::gpu::check((expression), #expression, __FILE__, __LINE__)

// ---- wide accesses: one 16- or 8-byte instruction each; the address must be aligned to that

#ifdef __CUDACC__
__device__ __forceinline__ float4 ld4(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ __forceinline__ float2 ld2(const float* p) { return *reinterpret_cast<const float2*>(p); }
__device__ __forceinline__ double2 ld2(const double* p) { return *reinterpret_cast<const double2*>(p); }
__device__ __forceinline__ void st4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }
__device__ __forceinline__ void st2(float* p, float2 v) { *reinterpret_cast<float2*>(p) = v; }
#else
#if defined(LQF_EMULATOR_CHECKED)
float4 ld4(const float* p, emulator::Site site = LQF_SITE);
float2 ld2(const float* p, emulator::Site site = LQF_SITE);
double2 ld2(const double* p, emulator::Site site = LQF_SITE);
void st4(float* p, float4 v, emulator::Site site = LQF_SITE);
void st2(float* p, float2 v, emulator::Site site = LQF_SITE);
#else
// NOTE: x86 does not mind a misaligned address, a GPU does.
template <typename T>
__forceinline__ T* aligned(const void* p, emulator::Site site) {
    if (reinterpret_cast<uintptr_t>(p) % sizeof(T))
        emulator::fault("%s:%d: an access of %zu bytes at a misaligned address", site.file, site.line, sizeof(T));
    return static_cast<T*>(const_cast<void*>(p));
}
__forceinline__ float4 ld4(const float* p, emulator::Site site = LQF_SITE) { return *aligned<float4>(p, site); }
__forceinline__ float2 ld2(const float* p, emulator::Site site = LQF_SITE) { return *aligned<float2>(p, site); }
__forceinline__ double2 ld2(const double* p, emulator::Site site = LQF_SITE) { return *aligned<double2>(p, site); }
__forceinline__ void st4(float* p, float4 v, emulator::Site site = LQF_SITE) { *aligned<float4>(p, site) = v; }
__forceinline__ void st2(float* p, float2 v, emulator::Site site = LQF_SITE) { *aligned<float2>(p, site) = v; }
#endif
#endif

// ---- shared memory: all of it dynamic and typed; the launch gives sizeof(T)

#ifdef __CUDACC__
template <typename T>
__device__ __forceinline__ T& shared() {
    extern __shared__ __align__(128) unsigned char lqf_shared[];
    return *reinterpret_cast<T*>(lqf_shared);
}
#else
template <typename T>
T& shared() {
    static_assert(alignof(T) <= 128, "shared memory is aligned to 128 bytes");
    if (sizeof(T) > emulator::current.shared_bytes)
        emulator::fault("the kernel uses %zu bytes of shared memory, the launch gave %zu", sizeof(T),
                        emulator::current.shared_bytes);
    return *reinterpret_cast<T*>(emulator::current.shared);
}
#endif

// ---- launch. The arguments are converted to the kernel's parameter types. A grid of no blocks is nothing to do.

inline std::atomic<int64_t> launches{0};  // by the host, in this process

#ifdef __CUDACC__
template <typename... P, typename... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            A... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    launches++;
    if (shared_bytes > (48 << 10))
        check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   int(shared_bytes)),
              name, __FILE__, __LINE__);
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...), name, __FILE__, __LINE__);
}
#elif defined(LQF_PTX)  // in place of the kernel the PTX that nvcc made of it
template <typename... P, typename... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            A... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    launches++;
    const std::tuple<P...> values(static_cast<P>(arguments)...);
    emulator::enqueue(stream, emulator::Work::kernel, [=] {
        std::apply(
            [&](const P&... value) {
                ptx::launch(reinterpret_cast<const void*>(kernel), name, grid, block, shared_bytes,
                            std::vector<ptx::Argument>{ptx::Argument{&value, sizeof value}...});
            },
            values);
    });
}
#else
template <typename T>
void collect(emulator::Addresses& addresses, T argument) {
    static_assert(std::is_trivially_copyable_v<T>, "a kernel's parameters are plain");
    if constexpr (std::is_pointer_v<T>) {
        addresses.pointers.push_back(argument);
    } else {
        __builtin_clear_padding(&argument);  // which may hold anything
        for (size_t at = 0; at + sizeof(uintptr_t) <= sizeof(T); at += sizeof(uintptr_t)) {
            uintptr_t word;
            std::memcpy(&word, reinterpret_cast<const char*>(&argument) + at, sizeof word);
            addresses.words.push_back(word);
        }
    }
}
template <typename... P, typename... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            A... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    launches++;
    emulator::Addresses addresses;
    (collect<P>(addresses, static_cast<P>(arguments)), ...);
    emulator::launch(stream, name, grid, block, shared_bytes, std::move(addresses),
                     [=] { kernel(static_cast<P>(arguments)...); });
}
#endif
// Template kernels in parentheses: LQF_LAUNCH((kernel<8>), ...).
#define LQF_LAUNCH(kernel, ...) ::lqf::gpu::launch(#kernel, kernel, __VA_ARGS__)

// ---- arithmetic of grids

template <typename T>
__host__ __device__ constexpr T ceil_div(T a, T b) {
    return (a + b - 1) / b;
}

// The thread's number in a one-dimensional grid.
__device__ __forceinline__ int64_t global_thread() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

}  // namespace lqf::gpu
#endif
