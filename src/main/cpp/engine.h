// What the device-free files share: handles, errors, memory. Nothing here knows an op's arithmetic.
#ifndef LQF_ENGINE_H
#define LQF_ENGINE_H

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "error.h"
#include "lqf.h"
#include "ops.h"
#include "threads.h"

namespace lqf {

std::string format(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

// Throws LQF_INVALID with the formatted text unless ok.
#define LQF_CHECK(ok, ...)                                                      \
    do {                                                                        \
        if (!(ok)) throw ::lqf::Error(LQF_INVALID, ::lqf::format(__VA_ARGS__)); \
    } while (0)

// Runs body; returns LQF_OK, or the status of what it threw after keeping the text for lqf_last_error.
int32_t guard(const std::function<void()>& body);

struct Engine;

// Device memory that frees itself and is counted by its engine, which must outlive it: handles declare their engine first.
class Memory {
public:
    Memory() = default;
    Memory(Engine& engine, size_t bytes, const char* purpose);  // throws LQF_OUT_OF_MEMORY
    static Memory borrowed(void* data, size_t bytes);           // of someone else: neither freed nor counted
    ~Memory();
    Memory(Memory&& other) noexcept { *this = std::move(other); }
    Memory& operator=(Memory&& other) noexcept;

    template <typename T>
    T* as() const {
        return static_cast<T*>(data_);
    }
    size_t bytes() const { return bytes_; }

private:
    Engine* engine_ = nullptr;  // null: borrowed
    void* data_ = nullptr;
    size_t bytes_ = 0;
};

// A device with its threads. Every handle holds a shared_ptr to it, so it lives as long as the last of them.
struct Engine {
    // stream: of the caller, for devices with a queue; null: one of its own
    Engine(const Ops& ops, int threads, int winograd, void* const* stream = nullptr);
    ~Engine();

    const Ops& ops;
    Threads threads;
    const std::unique_ptr<Queue> queue;  // null: ops are done when they return
    const int winograd;                  // 0, 2 or 4: of lqf_engine_open
    int precision = LQF_FP32;            // of the plans compiled next
    std::mutex busy;                     // one verb at a time: Session
    std::atomic<int64_t> bytes{0};       // of all Memory
    Memory scratch;  // what a plan needs only while a verb runs; shared by all plans, grows when one is compiled
};

// One at a time has the engine: every use of its ops and of its memory is inside of one.
class Session {
public:
    explicit Session(Engine& engine) : lock_(engine.busy), queue_(engine.queue.get()) {
        if (queue_) queue_->enter();
    }
    ~Session() {
        if (queue_) queue_->leave();
    }
    Session(const Session&) = delete;

private:
    std::lock_guard<std::mutex> lock_;
    Queue* queue_;
};

// Ends a handle of the engine.
template <typename H>
void destroy(H* handle, std::shared_ptr<Engine> engine) {
    const Session session(*engine);
    delete handle;
}

// A number that no vector's contents had before: what was derived from a vector is good as long as the vector has the same one.
int64_t next_revision();

}  // namespace lqf

struct lqf_engine {
    std::shared_ptr<lqf::Engine> engine;
};

struct lqf_vector {
    std::shared_ptr<lqf::Engine> engine;
    int64_t length;
    lqf::Memory memory;
    int64_t revision = lqf::next_revision();  // of the contents
    bool shared = false;                      // others may write it, unseen: the revision says nothing

    const float* data() const { return memory.as<float>(); }
    float* writable() {
        revision = lqf::next_revision();
        return memory.as<float>();
    }
};

namespace lqf {

// Checks a vector argument: not null, on this engine, at least length long.
void check_vector(const lqf_vector* vector, const Engine* engine, int64_t length, const char* name);

// Copies text into a caller's buffer of capacity bytes, cut and terminated.
void copy_text(const std::string& text, char* target, int64_t capacity);

}  // namespace lqf
#endif
