// The queue of an engine on the device: a stream to compute in, one for copies, and the memory that its ops and copies share.
#ifndef LQF_GPU_DEVICE_QUEUE_H
#define LQF_GPU_DEVICE_QUEUE_H

#include <array>
#include <atomic>
#include <vector>

#include "gpu.cuh"
#include "queue.h"

namespace lqf::gpu {

class Event {
public:
    Event();
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    void record(cudaStream_t stream) { CUDA_CHECK(cudaEventRecord(event_, stream)); }
    void hold_back(cudaStream_t stream) const { CUDA_CHECK(cudaStreamWaitEvent(stream, event_, 0)); }
    void wait() const { CUDA_CHECK(cudaEventSynchronize(event_)); }

private:
    cudaEvent_t event_{};
};

// Memory of the device, or of the host and pinned, that its owner makes larger on demand. Throws LQF_OUT_OF_MEMORY.
class Buffer {
public:
    enum Place { kDevice, kPinned };
    explicit Buffer(Place place) : place_(place) {}
    ~Buffer() { free(); }
    Buffer(const Buffer&) = delete;
    void replace(size_t bytes, const char* purpose);  // loses the contents; nothing queued may use it
    char* data() const { return data_; }
    size_t bytes() const { return bytes_; }

private:
    void free();
    Place place_;
    char* data_ = nullptr;
    size_t bytes_ = 0;
};

class DeviceQueue final : public Queue {
public:
    // stream: of the caller, who keeps it longer than this; null: one of its own.
    explicit DeviceQueue(const cudaStream_t* stream);
    ~DeviceQueue() override;

    // That of this thread: the one entered, or one for those who call ops without an engine.
    static DeviceQueue& current();

    void enter() override;
    void leave() override;
    void* stream() const override { return compute_; }
    void synchronise() override;
    int64_t bytes() const override { return bytes_; }
    void check(const void* memory, size_t bytes, const char* name) const override;
    const float* arrive(const float* host, size_t bytes, size_t capacity) override;
    float* outbox(size_t bytes) override;
    void depart(float* outbox, const float* device, size_t bytes) override;
    void settle() override;
    std::unique_ptr<Graph> capture(const std::function<void()>& work) override;
    bool replay(const Graph& graph) override;
    Counts counts() const override;

    cudaStream_t compute() const { return compute_; }
    void copy_in(void* device, const void* host, size_t bytes) { copy_in(device, host, bytes, compute_); }
    void copy_out(void* host, const void* device, size_t bytes);
    void* scratch(size_t bytes);  // for the op that joins next

private:
    static constexpr size_t kChunkBytes = size_t(2) << 20, kChunks = 8;

    // Pinned memory on the way between the caller's and the device's.
    struct Chunk {
        Buffer memory{Buffer::kPinned};
        Event done;  // its copy
    };
    // Where images arrive.
    struct Landing {
        Buffer memory{Buffer::kDevice};
        Event arrived, read;  // read: by everything that joined before the next arrival
    };

    void copy_in(void* device, const void* host, size_t bytes, cudaStream_t stream);
    Chunk& next_chunk();
    void grow(Buffer& buffer, size_t bytes, const char* purpose);
    void refuse_in_capture(const char* what) const;
    cudaGraph_t record(const std::function<void()>& work);

    cudaStream_t compute_{}, copies_{};
    const bool owns_compute_;
    std::atomic<int64_t> bytes_{0};
    std::array<Chunk, kChunks> chunks_;
    size_t chunk_ = 0;
    std::array<Landing, 2> landings_;
    size_t landing_ = 0;  // of the last arrival
    Buffer outbox_{Buffer::kPinned};
    Event computed_, departed_;
    Buffer scratch_{Buffer::kDevice};
    bool capturing_ = false, refuses_ = false;
    bool captured_scratch_ = false;  // the capture uses it
    size_t missing_scratch_ = 0;     // what the capture asked for and did not get
};

}  // namespace lqf::gpu
#endif
