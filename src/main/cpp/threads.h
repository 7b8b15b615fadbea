// A fixed team of threads that works off numbered tasks. Results must not depend on which thread takes which task.
// A layer's ops follow one another within microseconds, which is less than it takes to wake a thread: who waits looks again for some
// time before it sleeps. A call waits for its tasks, not for the team: a thread that the system has not let run by then, or that sleeps,
// has no part in it and holds nobody up. Each thread that wakes wakes two more while tasks are left.
#ifndef LQF_THREADS_H
#define LQF_THREADS_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace lqf {

class Threads {
public:
    explicit Threads(int count);  // count >= 1, the calling thread included
    ~Threads();
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;

    int count() const { return int(workers_.size()) + 1; }
    static int current() { return current_thread_; }  // of the task that runs here; 0 outside of tasks
    int sharing() const;  // threads that would share the tasks of a call from here: one inside of a task

    // Runs work(task, thread) for every task in [0, tasks), thread in [0, count()). Tasks are begun in the order of their numbers.
    // A call from inside work runs in the caller alone.
    // The first exception that a task throws is thrown here, after all tasks have ended.
    template <class Work>
    void each(int64_t tasks, const Work& work) {  // void work(int64_t task, int thread); no std::function: it allocates
        each(tasks,
             {&work, [](const void* w, int64_t task, int thread) { (*static_cast<const Work*>(w))(task, thread); }});
    }

    // Waits, inside of a task, for what a task of a lower number does: one that has begun, then, and waits for none but lower ones.
    // Ends the task where another one has failed: it may be that one. Outside of tasks there is nothing to wait for: it has to be true.
    template <class Condition>
    void wait_for(const Condition& condition) const {
        while (!look(condition))
            if (failed_) throw Abandoned();
    }

    // Scratch of one thread, at least floats long, 64-byte aligned; contents are lost at the next call for that thread.
    float* scratch(int thread, size_t floats);
    float* shared_scratch(size_t floats);  // one for all, of the thread that calls each, outside of tasks
    size_t scratch_bytes() const;

private:
    struct Call {
        const void* work;
        void (*run)(const void* work, int64_t task, int thread);
    };
    struct Abandoned {};  // a task whose call has failed already

    void each(int64_t tasks, Call call);
    template <class Condition>
    static bool look(const Condition& condition);
    template <class Condition>
    static bool soon(const Condition& condition);
    void serve(int thread);
    void wake_two();
    void drain(int thread);

    std::vector<std::thread> workers_;
    std::vector<float*> scratch_;  // of each thread, then the shared one
    std::vector<size_t> scratch_floats_;
    Call call_{};  // this and tasks_ change only while no task of a call is left or runs: who took one may read them
    int64_t tasks_ = 0;
    std::atomic<int64_t> left_{0};   // tasks that nobody has taken
    std::atomic<int64_t> ahead_{0};  // tasks that have not ended
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::atomic<int> asleep_{0};  // workers; counted before they look for the last time
    std::atomic<bool> caller_asleep_{false}, stopping_{false};
    std::exception_ptr failure_;  // the first of a call
    std::atomic<bool> failed_{false};

    static thread_local int current_thread_;  // of the task that runs here
};

// Looks for a little while whether it is true, then lets other threads run: where there are fewer processors than threads, the one that
// is waited for may be among them.
template <class Condition>
bool Threads::look(const Condition& condition) {
    constexpr int kLooks = 64;
    for (int i = 0; i < kLooks; i++) {
        if (condition()) return true;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }
    std::this_thread::yield();
    return false;
}

}  // namespace lqf
#endif
