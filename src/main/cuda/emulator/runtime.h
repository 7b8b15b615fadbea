// The part of the CUDA runtime API that the back end uses, on the host. Only what is used; names and meanings are NVIDIA's.
//
// A kernel's fault comes out of the call that ran it, as a std::runtime_error. Device memory is host memory filled with NaN.
//   LQF_EMULATOR_DEVICE   sm_75, sm_80, sm_86 (default), sm_89, sm_90, sm_100, sm_120: capability and shared memory of such a card;
//                         sm_70: a card that is too old; taken: one whose memory others have; none: no card; no-driver;
//                         old-driver: one older than the runtime
//   LQF_EMULATOR_MEMORY   bytes of device memory (default: 64 GiB, more than a test asks for)
//   LQF_EMULATOR_STREAMS  when the work of streams is done (streams.cpp): now (default), late, copies-first, kernels-first,
//                         random
//   LQF_EMULATOR_CAPTURE  refused: no stream lets itself be captured; no-memory: what was captured finds no room to be replayed from
#ifndef LQF_EMULATOR_RUNTIME_H
#define LQF_EMULATOR_RUNTIME_H

#include <functional>
#include <vector>

#include "machine.h"

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorStreamCaptureMerge = 902,
    cudaErrorStreamCaptureUnmatched = 903,
    cudaErrorStreamCaptureUnjoined = 904,
    cudaErrorStreamCaptureIsolation = 905,
    cudaErrorCapturedEvent = 907,
};

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };

struct cudaDeviceProp {
    char name[256];
    int major, minor;
    int multiProcessorCount;
    size_t totalGlobalMem, sharedMemPerBlockOptin;
};

enum cudaMemoryType { cudaMemoryTypeUnregistered = 0, cudaMemoryTypeHost = 1, cudaMemoryTypeDevice = 2 };

struct cudaPointerAttributes {
    cudaMemoryType type;
    int device;
};

namespace lqf::emulator {
struct Stream;
struct Event;
struct Graph;
struct GraphExec;
enum class Work { kernel, copy };
// Does it in the stream's order; null: the default stream, at once.
void enqueue(Stream* stream, Work kind, std::function<void()> work);
// That the calling thread captures no stream; if it does, the capture is spoilt: what a call that may wait must ask first.
cudaError_t outside_of_capture();
size_t shared_bytes_limit();                               // of a block, on the card this pretends to be
bool is_device_memory(const void* address, size_t bytes);  // all of them in one allocation
bool is_pinned_memory(const void* address, size_t bytes);
// What a kernel's arguments may lead it to.
struct Addresses {
    std::vector<const void*> pointers;  // null: none
    std::vector<uintptr_t> words;       // of structs: pointers or not
};
// A fault where a pointer is none of the device's, or a word of a struct is an address at which the host has memory and the device none.
void launch(Stream* stream, const char* kernel, dim3 grid, dim3 block, size_t shared_bytes, Addresses addresses,
            std::function<void()> body);
}  // namespace lqf::emulator

using cudaStream_t = lqf::emulator::Stream*;
using cudaEvent_t = lqf::emulator::Event*;
using cudaGraph_t = lqf::emulator::Graph*;
using cudaGraphExec_t = lqf::emulator::GraphExec*;
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostAllocDefault = 0;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };

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
cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory);
cudaError_t cudaGetLastError();
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* target, int byte, size_t bytes, cudaStream_t stream);

#endif
