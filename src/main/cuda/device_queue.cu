#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "backend.h"
#include "device_queue.h"

namespace lqf::gpu {

namespace {

std::atomic<int64_t> allocations{0}, graphs{0};
thread_local DeviceQueue* entered = nullptr;

struct DeviceGraph final : Queue::Graph {
    DeviceGraph(cudaGraphExec_t exec, const char* scratch) : exec(exec), scratch(scratch) {}
    ~DeviceGraph() override { cudaGraphExecDestroy(exec); }
    const cudaGraphExec_t exec;
    const char* const scratch;  // null: it uses none
};

[[noreturn]] void out_of_memory(size_t bytes, const char* purpose) {
    size_t free = 0, all = 0;
    memory(&free, &all);
    char text[200];
    std::snprintf(text, sizeof text,
                  "no memory for %s: %.1f MB asked for, %.1f MB free of %.1f MB; use a smaller batch", purpose,
                  double(bytes) / 1e6, double(free) / 1e6, double(all) / 1e6);
    throw Error(LQF_OUT_OF_MEMORY, text);
}

}  // namespace

Event::Event() { CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }

void Buffer::replace(size_t bytes, const char* purpose) {
    free();
    void* data = nullptr;
    allocations++;
    const cudaError_t error =
        place_ == kDevice ? cudaMalloc(&data, bytes) : cudaHostAlloc(&data, bytes, cudaHostAllocDefault);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        out_of_memory(bytes, purpose);
    }
    CUDA_CHECK(error);
    data_ = static_cast<char*>(data);
    bytes_ = bytes;
}

void Buffer::free() {
    place_ == kDevice ? cudaFree(data_) : cudaFreeHost(data_);
    data_ = nullptr;
    bytes_ = 0;
}

// ---- the queue --------------------------------------------------------------------------------------------------------------------

DeviceQueue::DeviceQueue(const cudaStream_t* stream) : owns_compute_(!stream) {
    if (stream)
        compute_ = *stream;
    else
        CUDA_CHECK(cudaStreamCreateWithFlags(&compute_, cudaStreamNonBlocking));
    CUDA_CHECK(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking));
}

// No checks: at a process's exit the driver may be gone before us.
DeviceQueue::~DeviceQueue() {
    cudaStreamSynchronize(copies_);
    cudaStreamSynchronize(compute_);
    cudaStreamDestroy(copies_);
    if (owns_compute_) cudaStreamDestroy(compute_);
}

DeviceQueue& DeviceQueue::current() {
    static DeviceQueue& without_engine = *new DeviceQueue(nullptr);  // never destroyed, like the device
    return entered ? *entered : without_engine;
}

void DeviceQueue::enter() { entered = this; }
void DeviceQueue::leave() { entered = nullptr; }

void DeviceQueue::synchronise() {
    refuse_in_capture("waiting");
    CUDA_CHECK(cudaStreamSynchronize(compute_));
}

void DeviceQueue::refuse_in_capture(const char* what) const {
    if (capturing_) throw std::logic_error(std::string(what) + " cannot be captured");
}

void DeviceQueue::check(const void* memory, size_t bytes, const char* name) const {
    char text[200];
    auto refuse = [&](const char* what) {
        std::snprintf(text, sizeof text, "%s, %zu bytes at %p, %s", name, bytes, memory, what);
        throw Error(LQF_INVALID, text);
    };
    if (reinterpret_cast<uintptr_t>(memory) % 16) refuse("must be aligned to 16 bytes");
    for (const void* end : {memory, static_cast<const void*>(static_cast<const char*>(memory) + bytes - 1)}) {
        cudaPointerAttributes attributes{};
        if (cudaPointerGetAttributes(&attributes, end) != cudaSuccess) cudaGetLastError();
        if (attributes.type != cudaMemoryTypeDevice || attributes.device != 0)
            refuse("is not memory of this engine's device");
    }
}

Queue::Counts DeviceQueue::counts() const { return {launches, graphs, allocations}; }

// ---- memory -----------------------------------------------------------------------------------------------------------------------

void DeviceQueue::grow(Buffer& buffer, size_t bytes, const char* purpose) {
    CUDA_CHECK(cudaStreamSynchronize(copies_));
    CUDA_CHECK(cudaStreamSynchronize(compute_));
    bytes_ -= int64_t(buffer.bytes());
    buffer.replace(bytes, purpose);
    bytes_ += int64_t(bytes);
}

void* DeviceQueue::scratch(size_t bytes) {
    captured_scratch_ = capturing_;
    if (bytes <= scratch_.bytes()) return scratch_.data();
    if (capturing_) {  // no kernel runs now: any aligned address will do
        missing_scratch_ = std::max(missing_scratch_, bytes);
        return reinterpret_cast<void*>(uintptr_t(256));
    }
    grow(scratch_, bytes, "the scratch of an op");
    return scratch_.data();
}

// ---- copies -----------------------------------------------------------------------------------------------------------------------

DeviceQueue::Chunk& DeviceQueue::next_chunk() {
    Chunk& chunk = chunks_[chunk_++ % kChunks];
    chunk.done.wait();
    if (chunk.memory.bytes() == 0) {
        chunk.memory.replace(kChunkBytes, "copies");
        bytes_ += int64_t(kChunkBytes);
    }
    return chunk;
}

void DeviceQueue::copy_in(void* device, const void* host, size_t bytes, cudaStream_t stream) {
    refuse_in_capture("a copy from the caller's memory");
    for (size_t at = 0; at < bytes; at += kChunkBytes) {
        const size_t part = std::min(kChunkBytes, bytes - at);
        Chunk& chunk = next_chunk();
        std::memcpy(chunk.memory.data(), static_cast<const char*>(host) + at, part);
        CUDA_CHECK(cudaMemcpyAsync(static_cast<char*>(device) + at, chunk.memory.data(), part, cudaMemcpyHostToDevice,
                                   stream));
        chunk.done.record(stream);
    }
}

// The host empties a chunk while the next ones are on their way.
void DeviceQueue::copy_out(void* host, const void* device, size_t bytes) {
    refuse_in_capture("a copy to the caller's memory");
    struct Part {
        Chunk* chunk;
        size_t at, bytes;
    };
    std::vector<Part> parts;
    size_t emptied = 0;
    auto empty = [&] {
        const Part& part = parts[emptied++];
        part.chunk->done.wait();
        std::memcpy(static_cast<char*>(host) + part.at, part.chunk->memory.data(), part.bytes);
    };
    for (size_t at = 0; at < bytes; at += kChunkBytes) {
        if (parts.size() - emptied == kChunks) empty();
        parts.push_back({&next_chunk(), at, std::min(kChunkBytes, bytes - at)});
        const Part& part = parts.back();
        CUDA_CHECK(cudaMemcpyAsync(part.chunk->memory.data(), static_cast<const char*>(device) + at, part.bytes,
                                   cudaMemcpyDeviceToHost, compute_));
        part.chunk->done.record(compute_);
    }
    while (emptied < parts.size()) empty();
}

const float* DeviceQueue::arrive(const float* host, size_t bytes, size_t capacity) {
    landings_[landing_].read.record(compute_);
    landing_ = (landing_ + 1) % landings_.size();
    Landing& landing = landings_[landing_];
    if (landing.memory.bytes() < bytes) grow(landing.memory, std::max(bytes, capacity), "images that arrive");
    landing.read.hold_back(copies_);
    copy_in(landing.memory.data(), host, bytes, copies_);
    landing.arrived.record(copies_);
    landing.arrived.hold_back(compute_);
    return reinterpret_cast<const float*>(landing.memory.data());
}

float* DeviceQueue::outbox(size_t bytes) {
    if (bytes > outbox_.bytes()) grow(outbox_, bytes, "results that depart");
    return reinterpret_cast<float*>(outbox_.data());
}

void DeviceQueue::depart(float* outbox, const float* device, size_t bytes) {
    computed_.record(compute_);
    computed_.hold_back(copies_);
    CUDA_CHECK(cudaMemcpyAsync(outbox, device, bytes, cudaMemcpyDeviceToHost, copies_));
}

void DeviceQueue::settle() {
    departed_.record(copies_);
    departed_.hold_back(compute_);
}

// ---- graphs -----------------------------------------------------------------------------------------------------------------------

// Null if the device refuses, or if work cannot be captured.
cudaGraph_t DeviceQueue::record(const std::function<void()>& work) {
    if (refuses_) return nullptr;
    if (cudaStreamBeginCapture(compute_, cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
        cudaGetLastError();
        refuses_ = true;
        return nullptr;
    }
    capturing_ = true;
    bool whole = true;
    try {
        work();
    } catch (
        const std::
            exception&) {  // the caller does the work without a graph and meets it again, if it is not about captures
        whole = false;
    }
    capturing_ = false;
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(compute_, &graph);
    if (whole && error == cudaSuccess) return graph;
    cudaGetLastError();
    if (graph) cudaGraphDestroy(graph);
    return nullptr;
}

std::unique_ptr<Queue::Graph> DeviceQueue::capture(const std::function<void()>& work) {
    struct Graph {
        cudaGraph_t graph;
        ~Graph() {
            if (graph) cudaGraphDestroy(graph);
        }
    };
    for (;;) {
        missing_scratch_ = 0;
        captured_scratch_ = false;
        const Graph recorded{record(work)};
        if (!recorded.graph) return nullptr;
        if (missing_scratch_ > 0) {
            scratch(missing_scratch_);
            continue;
        }
        cudaGraphExec_t exec = nullptr;
        if (cudaGraphInstantiate(&exec, recorded.graph, 0) != cudaSuccess) {  // no memory for it, say
            cudaGetLastError();
            return nullptr;
        }
        return std::make_unique<DeviceGraph>(exec, captured_scratch_ ? scratch_.data() : nullptr);
    }
}

bool DeviceQueue::replay(const Graph& graph) {
    const auto& kept = static_cast<const DeviceGraph&>(graph);
    if (kept.scratch && kept.scratch != scratch_.data()) return false;
    CUDA_CHECK(cudaGraphLaunch(kept.exec, compute_));
    graphs++;
    return true;
}

// ---- what ops and engine call ------------------------------------------------------------------------------------------------------

cudaStream_t stream() { return DeviceQueue::current().compute(); }

void synchronise() { DeviceQueue::current().synchronise(); }

Scratch::Scratch(size_t bytes) : memory_(DeviceQueue::current().scratch(bytes)) {}

void* allocate(size_t bytes) {
    void* memory = nullptr;
    allocations++;
    const cudaError_t error = cudaMalloc(&memory, bytes);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return nullptr;
    }
    CUDA_CHECK(error);
    return memory;
}

// No checks: a failure here would hide the one that made us clean up.
void release(void* memory) {
    cudaStreamSynchronize(stream());  // kernels that use it may still wait their turn
    cudaFree(memory);
}

void copy_in(void* device, const void* host, size_t bytes) { DeviceQueue::current().copy_in(device, host, bytes); }

void copy_out(void* host, const void* device, size_t bytes) { DeviceQueue::current().copy_out(host, device, bytes); }

void memory(size_t* free, size_t* all) { CUDA_CHECK(cudaMemGetInfo(free, all)); }

}  // namespace lqf::gpu
