// The part of the CUDA runtime API that the back end uses, on the host. Only what is used; names and meanings are NVIDIA's.
//
// A kernel's fault comes out of the call that ran it, as a std::runtime_error. Device memory is host memory filled with NaN.
//   LQF_EMULATOR_DEVICE   sm_75, sm_80, sm_86 (default), sm_89, sm_90, sm_100, sm_120: capability and shared memory of such a card;
//                         sm_70: a card that is too old; none: no card; no-driver; old-driver: one older than the runtime
//   LQF_EMULATOR_MEMORY   bytes of device memory (default: 64 GiB, more than a test asks for)
//   LQF_EMULATOR_STREAMS  late: copies and launches wait in their stream until the host synchronises, so that a missing
//                         synchronisation shows; now (default)
#ifndef LQF_EMULATOR_RUNTIME_H
#define LQF_EMULATOR_RUNTIME_H

#include <functional>

#include "machine.h"

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
};

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };

struct cudaDeviceProp {
    char name[256];
    int major, minor;
    int multiProcessorCount;
    size_t totalGlobalMem, sharedMemPerBlockOptin;
};

namespace lqf::emulator {
struct Stream;
size_t shared_bytes_limit();                               // of a block, on the card this pretends to be
bool is_device_memory(const void* address, size_t bytes);  // all of them in one allocation
void launch(Stream* stream, const char* kernel, dim3 grid, dim3 block, size_t shared_bytes, std::function<void()> body);
}  // namespace lqf::emulator

using cudaStream_t = lqf::emulator::Stream*;
constexpr unsigned cudaStreamNonBlocking = 1;

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDriverGetVersion(
    int* version);  // 1000 * major + 10 * minor, of the newest CUDA the driver knows; 0: no driver
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMalloc(void** memory, size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMallocHost(void** memory, size_t bytes);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* target, int byte, size_t bytes, cudaStream_t stream);

#endif
