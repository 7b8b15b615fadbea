#include "runtime.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "hooks.h"

namespace lqf::emulator {

namespace {

struct Card {
    const char* name;
    int major, minor;
    size_t shared_kib;  // that a block may ask for
};

// CUDA programming guide, table of compute capabilities.
constexpr Card kCards[] = {{"sm_70", 7, 0, 96}, {"sm_75", 7, 5, 64},  {"sm_80", 8, 0, 163},   {"sm_86", 8, 6, 99},
                           {"sm_89", 8, 9, 99}, {"sm_90", 9, 0, 227}, {"sm_100", 10, 0, 227}, {"sm_120", 12, 0, 99}};

std::string device_setting() {
    const char* device = std::getenv("LQF_EMULATOR_DEVICE");
    return device ? device : "sm_86";
}

const Card& card() {
    const std::string device = device_setting();
    for (const Card& card : kCards)
        if (device == card.name) return card;
    throw std::runtime_error("LQF_EMULATOR_DEVICE is " + device +
                             ", expected no-driver, old-driver, none, taken or sm_NN");
}

size_t capacity() {
    const char* bytes = std::getenv("LQF_EMULATOR_MEMORY");
    return bytes ? std::strtoull(bytes, nullptr, 10) : size_t(64) << 30;
}

struct Allocations {
    std::mutex mutex;
    std::map<void*, size_t> bytes;
    size_t total = 0;
};

// NOTE: never destroyed: a JVM may free memory while it exits.
Allocations& allocations() {
    static Allocations& instance = *new Allocations;
    return instance;
}

Allocations& pinned() {
    static Allocations& instance = *new Allocations;
    return instance;
}

bool holds(Allocations& a, const void* address, size_t bytes) {
    std::lock_guard<std::mutex> lock(a.mutex);
    auto after = a.bytes.upper_bound(const_cast<void*>(address));
    if (after == a.bytes.begin()) return false;
    const auto& [begin, length] = *--after;
    return size_t(static_cast<const char*>(address) - static_cast<char*>(begin)) + bytes <= length;
}

}  // namespace

bool is_device_memory(const void* address, size_t bytes) { return holds(allocations(), address, bytes); }
bool is_pinned_memory(const void* address, size_t bytes) { return holds(pinned(), address, bytes); }

size_t shared_bytes_limit() { return card().shared_kib << 10; }

// Whether the host has memory there. Stacks, heaps and libraries of x86-64 lie between; below are numbers, and the shadow of a sanitizer.
static bool is_mapped(uintptr_t address) {
    constexpr uintptr_t kLowest = uintptr_t(1) << 46, kEnd = uintptr_t(1) << 47, kPage = 4096;
    unsigned char resident = 0;
    return address >= kLowest && address < kEnd &&
           mincore(reinterpret_cast<void*>(address / kPage * kPage), kPage, &resident) == 0;
}

void launch(Stream* stream, const char* kernel, dim3 grid, dim3 block, size_t shared_bytes, Addresses addresses,
            std::function<void()> body) {
    enqueue(stream, Work::kernel, [=] {
        for (const uintptr_t word : addresses.words)
            if (is_mapped(word) && !is_device_memory(reinterpret_cast<const void*>(word), 0))
                fault("%s: its arguments hold %#zx, an address of the host's memory", kernel, size_t(word));
        for (const void* pointer : addresses.pointers)
            if (pointer && !is_device_memory(pointer, 0))  // the end of an allocation may be where nothing is
                fault("%s: its argument %p points to no memory of the device", kernel, pointer);
        auto thread = [](void* closure) { (*static_cast<const std::function<void()>*>(closure))(); };
        run(kernel, grid, block, shared_bytes, thread, const_cast<std::function<void()>*>(&body));
    });
}

}  // namespace lqf::emulator

using namespace lqf::emulator;

namespace {

struct ErrorText {
    cudaError_t error;
    const char *name, *text;
};

constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched", "capture was not ended in the same stream"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent", "operation not permitted on an event last recorded in capture"},
};

const ErrorText& text_of(cudaError_t error) {
    static constexpr ErrorText unknown{cudaSuccess, "unknown error", "unknown error"};
    for (const ErrorText& e : kErrors)
        if (e.error == error) return e;
    return unknown;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }
cudaError_t cudaGetLastError() { return cudaSuccess; }  // no error here lasts

cudaError_t cudaGetDeviceCount(int* count) {
    const std::string device = device_setting();
    *count = 0;
    if (device == "old-driver" || device == "no-driver") return cudaErrorInsufficientDriver;
    if (device == "none") return cudaErrorNoDevice;
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    if (device_setting() == "taken") return cudaErrorMemoryAllocation;  // others have all of its memory
    return device == 0 ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    std::snprintf(properties->name, sizeof properties->name, "emulated %s", card().name);
    properties->major = card().major;
    properties->minor = card().minor;
    properties->multiProcessorCount = 2;
    properties->totalGlobalMem = capacity();
    properties->sharedMemPerBlockOptin = shared_bytes_limit();
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
    const std::string device = device_setting();
    *version = device == "no-driver" ? 0 : device == "old-driver" ? 12040 : 13000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    std::lock_guard<std::mutex> lock(allocations().mutex);
    *total = capacity();
    *free = *total - std::min(*total, allocations().total);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
    if (const cudaError_t error = outside_of_capture()) return error;
    constexpr size_t kAlignment = 256;
    Allocations& a = allocations();
    std::lock_guard<std::mutex> lock(a.mutex);
    if (bytes > capacity() || a.total > capacity() - bytes) return cudaErrorMemoryAllocation;
    // exactly so long, that a sanitizer sees the first byte behind it
    if (posix_memalign(memory, kAlignment, std::max<size_t>(bytes, 1)) != 0) return cudaErrorMemoryAllocation;
    std::memset(*memory, 0xff, bytes);
    a.bytes[*memory] = bytes;
    a.total += bytes;
    hook_allocate(*memory, bytes);
    return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
    if (!memory) return cudaSuccess;
    if (const cudaError_t error = outside_of_capture()) return error;
    Allocations& a = allocations();
    std::lock_guard<std::mutex> lock(a.mutex);
    auto found = a.bytes.find(memory);
    if (found == a.bytes.end()) return cudaErrorInvalidValue;
    a.total -= found->second;
    a.bytes.erase(found);
    hook_release(memory);
    std::free(memory);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
    if (const cudaError_t error = outside_of_capture()) return error;
    *memory = std::malloc(std::max<size_t>(bytes, 1));
    if (!*memory) return cudaErrorMemoryAllocation;
    std::memset(*memory, 0xff, bytes);
    std::lock_guard<std::mutex> lock(pinned().mutex);
    pinned().bytes[*memory] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
    if (!memory) return cudaSuccess;
    if (const cudaError_t error = outside_of_capture()) return error;
    std::lock_guard<std::mutex> lock(pinned().mutex);
    if (pinned().bytes.erase(memory) == 0) return cudaErrorInvalidValue;
    std::free(memory);
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
    attributes->device = 0;
    attributes->type = is_device_memory(memory, 1)   ? cudaMemoryTypeDevice
                       : is_pinned_memory(memory, 1) ? cudaMemoryTypeHost
                                                     : cudaMemoryTypeUnregistered;
    return cudaSuccess;
}

// Copies are strict where a GPU is not: beside the host's work only pinned memory can be copied, from any other the call would wait.
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    const void* host = kind == cudaMemcpyHostToDevice ? source : kind == cudaMemcpyDeviceToHost ? target : nullptr;
    if (stream && host && !is_pinned_memory(host, bytes))
        fault("cudaMemcpyAsync: the %zu bytes on the host are not pinned", bytes);
    enqueue(stream, Work::copy, [=] {
        for (const void* device : {kind == cudaMemcpyHostToDevice ? nullptr : source,
                                   kind == cudaMemcpyDeviceToHost ? nullptr : static_cast<const void*>(target)})
            if (device && bytes > 0 && !is_device_memory(device, bytes))
                fault("cudaMemcpyAsync: %zu bytes at an address that is not the device's", bytes);
        std::memcpy(target, source, bytes);
        if (kind != cudaMemcpyDeviceToHost) hook_host_write(target, bytes);
    });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* target, int byte, size_t bytes, cudaStream_t stream) {
    enqueue(stream, Work::kernel, [=] {
        std::memset(target, byte, bytes);
        hook_host_write(target, bytes);
    });
    return cudaSuccess;
}
