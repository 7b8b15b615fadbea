#include "runtime.h"

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

struct Stream {
    std::vector<std::function<void()>> waiting;
};

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
    throw std::runtime_error("LQF_EMULATOR_DEVICE is " + device + ", expected no-driver, old-driver, none or sm_NN");
}

size_t capacity() {
    const char* bytes = std::getenv("LQF_EMULATOR_MEMORY");
    return bytes ? std::strtoull(bytes, nullptr, 10) : size_t(64) << 30;
}

bool late_streams() {
    const char* streams = std::getenv("LQF_EMULATOR_STREAMS");
    return streams && std::strcmp(streams, "late") == 0;
}

struct Allocations {
    std::mutex mutex;
    std::map<void*, size_t> bytes;
    size_t total = 0;
};

Allocations& allocations() {
    static Allocations& instance = *new Allocations;  // never destroyed: a JVM may free memory while it exits
    return instance;
}

void do_or_queue(Stream* stream, std::function<void()> work) {
    if (stream && late_streams())
        stream->waiting.push_back(std::move(work));
    else
        work();
}

}  // namespace

bool is_device_memory(const void* address, size_t bytes) {
    Allocations& a = allocations();
    std::lock_guard<std::mutex> lock(a.mutex);
    auto after = a.bytes.upper_bound(const_cast<void*>(address));
    if (after == a.bytes.begin()) return false;
    const auto& [begin, length] = *--after;
    return size_t(static_cast<const char*>(address) - static_cast<char*>(begin)) + bytes <= length;
}

size_t shared_bytes_limit() { return card().shared_kib << 10; }

void launch(Stream* stream, const char* kernel, dim3 grid, dim3 block, size_t shared_bytes,
            std::function<void()> body) {
    do_or_queue(stream, [=] {
        auto thread = [](void* closure) { (*static_cast<const std::function<void()>*>(closure))(); };
        run(kernel, grid, block, shared_bytes, thread, const_cast<std::function<void()>*>(&body));
    });
}

}  // namespace lqf::emulator

using namespace lqf::emulator;

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "cudaSuccess";
        case cudaErrorInvalidValue:
            return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation:
            return "cudaErrorMemoryAllocation";
        case cudaErrorInsufficientDriver:
            return "cudaErrorInsufficientDriver";
        case cudaErrorNoDevice:
            return "cudaErrorNoDevice";
    }
    return "unknown error";
}

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "no error";
        case cudaErrorInvalidValue:
            return "invalid argument";
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorInsufficientDriver:
            return "CUDA driver version is insufficient for CUDA runtime version";
        case cudaErrorNoDevice:
            return "no CUDA-capable device is detected";
    }
    return "unknown error";
}

cudaError_t cudaGetDeviceCount(int* count) {
    const std::string device = device_setting();
    *count = 0;
    if (device == "old-driver" || device == "no-driver") return cudaErrorInsufficientDriver;
    if (device == "none") return cudaErrorNoDevice;
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidValue; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    std::snprintf(properties->name, sizeof properties->name, "emulated %s", card().name);
    properties->major = card().major;
    properties->minor = card().minor;
    properties->multiProcessorCount = 1;
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

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
    *memory = std::malloc(std::max<size_t>(bytes, 1));
    return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void* memory) {
    std::free(memory);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    *stream = new Stream;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    std::vector<std::function<void()>> work;
    work.swap(stream->waiting);
    for (auto& item : work) item();
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    do_or_queue(stream, [=] {
        std::memcpy(target, source, bytes);
        if (kind != cudaMemcpyDeviceToHost) hook_host_write(target, bytes);
    });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* target, int byte, size_t bytes, cudaStream_t stream) {
    do_or_queue(stream, [=] {
        std::memset(target, byte, bytes);
        hook_host_write(target, bytes);
    });
    return cudaSuccess;
}
