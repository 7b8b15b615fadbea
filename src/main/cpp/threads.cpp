#include "threads.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>

#include "pages.h"

namespace lqf {

namespace {
thread_local bool inside_task = false;
}

// Whether it became true before it is time to sleep. By the clock: a pause takes 10 to 50 nanoseconds, whatever the processor likes.
template <class Condition>
bool Threads::soon(const Condition& condition) {
    using Clock = std::chrono::steady_clock;
    constexpr auto kPatience = std::chrono::microseconds(150);
    for (const Clock::time_point end = Clock::now() + kPatience; Clock::now() < end;)
        if (look(condition)) return true;
    return false;
}

Threads::Threads(int count) : scratch_(size_t(count) + 1, nullptr), scratch_floats_(size_t(count) + 1, 0) {
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
    call_ = call;
    tasks_ = tasks;
    failure_ = nullptr;
    failed_ = false;
    ahead_ = tasks;
    left_ = tasks;  // publishes all of the above
    wake_two();
    drain(0);
    auto ended = [this] { return ahead_ == 0; };
    if (!soon(ended)) {
        std::unique_lock<std::mutex> lock(mutex_);
        caller_asleep_ = true;
        done_.wait(lock, ended);
        caller_asleep_ = false;
    }
    if (failure_) std::rethrow_exception(failure_);
}

thread_local int Threads::current_thread_ = 0;

int Threads::sharing() const { return inside_task ? 1 : count(); }

void Threads::serve(int thread) {
    auto called = [this] { return stopping_ || left_ > 0; };
    for (;;) {
        if (!soon(called)) {
            std::unique_lock<std::mutex> lock(mutex_);
            asleep_++;
            wake_.wait(lock, called);
            asleep_--;
            lock.unlock();
            wake_two();
        }
        if (stopping_) return;
        drain(thread);
    }
}

void Threads::wake_two() {
    for (int64_t most = std::min<int64_t>({2, left_ - 1, asleep_}); most > 0; most--) {
        std::unique_lock<std::mutex>(mutex_).unlock();  // who counted itself asleep now waits, or has seen the tasks
        wake_.notify_one();
    }
}

void Threads::drain(int thread) {
    inside_task = true;
    current_thread_ = thread;
    int64_t ended = 0;
    for (int64_t left = left_; left > 0;) {
        if (!left_.compare_exchange_weak(left, left - 1)) continue;
        try {
            call_.run(call_.work, tasks_ - left, thread);
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!failure_) failure_ = std::current_exception();
            failed_ = true;
        }
        ended++;
        left = left_;
    }
    inside_task = false;
    current_thread_ = 0;
    if (ended > 0 && (ahead_ -= ended) == 0 && caller_asleep_) {
        std::lock_guard<std::mutex> lock(mutex_);  // the caller is asleep, or looks before it sleeps
        done_.notify_one();
    }
}

float* Threads::scratch(int thread, size_t floats) {
    float*& memory = scratch_[size_t(thread)];
    size_t& capacity = scratch_floats_[size_t(thread)];
    if (floats > capacity) {
        std::free(memory);
        memory = nullptr;
        capacity = 0;
        size_t rounded = (floats + 1023) / 1024 * 1024;
        memory = static_cast<float*>(allocate_lines(rounded * sizeof(float)));
        if (!memory) throw std::bad_alloc();
        capacity = rounded;
    }
    return memory;
}

float* Threads::shared_scratch(size_t floats) { return scratch(count(), floats); }

size_t Threads::scratch_bytes() const {
    size_t bytes = 0;
    for (size_t floats : scratch_floats_) bytes += floats * sizeof(float);
    return bytes;
}

}  // namespace lqf
