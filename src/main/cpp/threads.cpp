#include "threads.h"

#include <cstdlib>
#include <new>

namespace lqf {

namespace {
thread_local bool inside_task = false;
}

Threads::Threads(int count) : scratch_(size_t(count), nullptr), scratch_floats_(size_t(count), 0) {
    workers_.reserve(size_t(count - 1));
    for (int thread = 1; thread < count; thread++) workers_.emplace_back([this, thread] { serve(thread); });
}

Threads::~Threads() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    for (float* memory : scratch_) std::free(memory);
}

void Threads::each(int64_t tasks, Call call) {
    // A nested call would wait for threads that wait for it: it runs in the caller, on the caller's scratch (thread 0 outside of tasks).
    if (tasks <= 1 || workers_.empty() || inside_task) {
        for (int64_t task = 0; task < tasks; task++) call.run(call.work, task, inside_task ? current_thread_ : 0);
        return;
    }
    {
        std::lock_guard<std::mutex> lock(mutex_);
        call_ = call;
        tasks_ = tasks;
        next_ = 0;
        busy_ = int(workers_.size());
        failure_ = nullptr;
        generation_++;
    }
    wake_.notify_all();
    drain(0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
    if (failure_) std::rethrow_exception(failure_);
}

thread_local int Threads::current_thread_ = 0;

void Threads::serve(int thread) {
    int64_t seen = 0;
    for (;;) {
        {
            std::unique_lock<std::mutex> lock(mutex_);
            wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
            if (stopping_) return;
            seen = generation_;
        }
        drain(thread);
        std::lock_guard<std::mutex> lock(mutex_);
        if (--busy_ == 0) done_.notify_one();
    }
}

void Threads::drain(int thread) {
    inside_task = true;
    current_thread_ = thread;
    for (int64_t task; (task = next_.fetch_add(1)) < tasks_;) {
        try {
            call_.run(call_.work, task, thread);
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!failure_) failure_ = std::current_exception();
        }
    }
    inside_task = false;
    current_thread_ = 0;
}

float* Threads::scratch(int thread, size_t floats) {
    float*& memory = scratch_[size_t(thread)];
    size_t& capacity = scratch_floats_[size_t(thread)];
    if (floats > capacity) {
        std::free(memory);
        memory = nullptr;
        capacity = 0;
        size_t rounded = (floats + 1023) / 1024 * 1024;
        memory = static_cast<float*>(std::aligned_alloc(64, rounded * sizeof(float)));
        if (!memory) throw std::bad_alloc();
        capacity = rounded;
    }
    return memory;
}

size_t Threads::scratch_bytes() const {
    size_t bytes = 0;
    for (size_t floats : scratch_floats_) bytes += floats * sizeof(float);
    return bytes;
}

}  // namespace lqf
