#include "machine.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#include "hooks.h"
#include "runtime.h"

namespace lqf::emulator {

Current current;

namespace {

constexpr unsigned kMaxThreads = 1024;
constexpr size_t kGuardBytes = 4096;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 256 << 10;
#else
constexpr size_t kStackBytes = 64 << 10;
#endif

// Saves the registers that a function must preserve on the stack, the stack pointer in *save, and goes on where `load` was saved.
// NOTE: not swapcontext, which makes two system calls a switch and is 50 times slower.
extern "C" void lqf_emulator_switch(void** save, void* load);
asm(R"(
.text
.type lqf_emulator_switch,@function
lqf_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size lqf_emulator_switch,.-lqf_emulator_switch
)");

enum class State { kReady, kRunning, kAtBarrier, kInWarp, kDone };

struct AsyncCopy {
    void* shared;
    const void* global;
    unsigned bytes, source_bytes;
    int group;
};

struct Fiber {
    void* stack_pointer = nullptr;
    unsigned char* stack = nullptr;
    void* fake_stack = nullptr;  // of the address sanitizer
    State state = State::kDone;
    Site site{};            // where it waits
    const char* what = "";  // for what
    uint3 thread{};
    std::vector<AsyncCopy> copies;
    int copy_group = 0;
};

// Lanes of a warp that have come to an instruction, waiting for the others.
struct Gathering {
    unsigned mask, arrived;
    void* arguments[32];
    WarpOp op;
    const char* name;
    Site site;
};

struct Warp {
    std::vector<Gathering> gatherings;
    unsigned alive = 0;
};

// The threads that may run next. Every thread is in it at most once.
class Queue {
public:
    bool empty() const { return head_ == tail_; }
    unsigned pop() { return ring_[head_++ & kMask]; }
    void push_back(unsigned thread) { ring_[tail_++ & kMask] = uint16_t(thread); }
    void push_front(unsigned thread) { ring_[--head_ & kMask] = uint16_t(thread); }
    void clear() { head_ = tail_ = 0; }

private:
    static constexpr unsigned kMask = 2 * kMaxThreads - 1;
    uint16_t ring_[kMask + 1];
    unsigned head_ = 0, tail_ = 0;
};

enum class Order { kForward, kReversed, kRandom };

const char* setting(const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return value ? value : otherwise;
}

Order order_setting() {
    const std::string order = setting("LQF_EMULATOR_ORDER", "forward");
    if (order == "forward") return Order::kForward;
    if (order == "reversed") return Order::kReversed;
    if (order == "random") return Order::kRandom;
    throw std::runtime_error("LQF_EMULATOR_ORDER is " + order + ", expected forward, reversed or random");
}

bool late_copies_setting() {
    const std::string copies = setting("LQF_EMULATOR_COPIES", "late");
    if (copies == "late") return true;
    if (copies == "early") return false;
    throw std::runtime_error("LQF_EMULATOR_COPIES is " + copies + ", expected late or early");
}

class Machine {
public:
    void launch(const char* kernel, dim3 grid, dim3 block, size_t shared_bytes, void (*body)(void*), void* closure);
    void barrier(Site site);
    void warp(unsigned mask, void* argument, WarpOp op, const char* name, Site site);
    void copy_async(const AsyncCopy& copy, Site site);
    void copy_commit() { me().copy_group++; }
    void copy_wait(int groups_left);
    [[noreturn]] void fault(const std::string& text);

private:
    Fiber& me() { return fibers_[running_]; }
    void run_block(uint3 block);
    void map_shared(size_t bytes);
    void release_shared();
    void prepare(unsigned index);
    void shuffle(std::vector<unsigned>& list);
    void enter(unsigned index);
    void switch_to(unsigned index);
    void switch_to_next();
    void leave();  // to the host
    void release_barrier();
    [[noreturn]] void stuck();
    static void fiber_main();
    void finish();

    std::vector<Fiber> fibers_;
    std::vector<Warp> warps_;
    Queue ready_;
    unsigned threads_ = 0, alive_ = 0, at_barrier_ = 0, running_ = 0;
    Site barrier_site_{};
    void* host_stack_pointer_ = nullptr;
    void* host_fake_stack_ = nullptr;
    const void* host_stack_ = nullptr;
    size_t host_stack_bytes_ = 0;
    bool from_host_ = false;
    unsigned char* shared_ = nullptr;
    size_t shared_bytes_ = 0;
    void (*body_)(void*) = nullptr;
    void* closure_ = nullptr;
    const char* kernel_ = "";
    Order order_ = Order::kForward;
    bool late_copies_ = true;
    std::vector<unsigned> order_of_threads_;
    uint64_t random_ = 88172645463325252u;
    std::string fault_;
};

// NOTE: never destroyed. Its fibers may hold frames of kernels that a fault abandoned, and at exit the order of things is not ours.
Machine& machine() {
    static Machine& instance = *new Machine;
    return instance;
}

std::mutex& launches() {
    static std::mutex& instance = *new std::mutex;
    return instance;
}

// ---- launch -----------------------------------------------------------------------------------------------------------------------

void Machine::launch(const char* kernel, dim3 grid, dim3 block, size_t shared_bytes, void (*body)(void*),
                     void* closure) {
    kernel_ = kernel;
    body_ = body;
    closure_ = closure;
    order_ = order_setting();
    late_copies_ = late_copies_setting();
    fault_.clear();
    threads_ = block.x * block.y * block.z;
    const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
    auto refuse = [&](const std::string& why) {
        throw std::runtime_error("launch of " + std::string(kernel) + ": " + why);
    };
    if (threads_ == 0 || threads_ > kMaxThreads || block.z > 64)
        refuse("a block of " + std::to_string(threads_) + " threads");
    if (blocks == 0 || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
        refuse("a grid of [" + std::to_string(grid.x) + "," + std::to_string(grid.y) + "," + std::to_string(grid.z) +
               "] blocks");
    if (shared_bytes > shared_bytes_limit())
        refuse(std::to_string(shared_bytes) + " bytes of shared memory, the device has " +
               std::to_string(shared_bytes_limit()));
    while (fibers_.size() < threads_) {
        Fiber fiber;
        void* memory = mmap(nullptr, kStackBytes + kGuardBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        fiber.stack = static_cast<unsigned char*>(memory);
        mprotect(fiber.stack, kGuardBytes, PROT_NONE);
        fibers_.push_back(std::move(fiber));
    }
    map_shared(shared_bytes);
    current.block_size = block;
    current.grid_size = grid;
    hook_launch(kernel, blocks);
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t index = i;
        if (order_ == Order::kReversed) index = blocks - 1 - i;
        if (order_ == Order::kRandom)
            index = (i * 2654435761u + 12345) % blocks;  // a permutation unless blocks divides
        if (order_ == Order::kRandom && 2654435761u % blocks == 0) index = i;
        run_block({unsigned(index % grid.x), unsigned(index / grid.x % grid.y),
                   unsigned(index / (uint64_t(grid.x) * grid.y))});
        if (!fault_.empty()) throw std::runtime_error(fault_);
    }
    hook_launch_end();
}

// Exactly as long as asked for, so that a sanitizer sees the first byte behind it.
void Machine::map_shared(size_t bytes) {
    if (shared_ && shared_bytes_ == bytes) return;
    release_shared();
    const size_t room = (bytes + 1023) / 1024 * 1024 + 1024;
    shared_ = static_cast<unsigned char*>(std::aligned_alloc(1024, room));
    if (!shared_) throw std::bad_alloc();
    shared_bytes_ = bytes;
    hook_map_shared(shared_, bytes);
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(shared_ + bytes, room - bytes);
#endif
}

void Machine::release_shared() {
    if (!shared_) return;
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(shared_, (shared_bytes_ + 1023) / 1024 * 1024 + 1024);
#endif
    hook_unmap_shared();
    std::free(shared_);
    shared_ = nullptr;
}

void Machine::shuffle(std::vector<unsigned>& list) {
    if (order_ == Order::kReversed) std::reverse(list.begin(), list.end());
    if (order_ != Order::kRandom) return;
    for (size_t i = list.size(); i > 1; i--) {
        random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;
        std::swap(list[i - 1], list[(random_ >> 32) % i]);
    }
}

void Machine::run_block(uint3 block) {
    alive_ = threads_;
    at_barrier_ = 0;
    warps_.resize((threads_ + 31) / 32);
    for (size_t w = 0; w < warps_.size(); w++) {
        warps_[w].gatherings.clear();
        warps_[w].alive = w * 32 + 32 <= threads_ ? ~0u : (1u << (threads_ & 31)) - 1;
    }
    std::memset(shared_, 0xff, shared_bytes_);  // every float and double is a NaN until it is written
    current.block = block;
    current.shared = shared_;
    current.shared_bytes = shared_bytes_;
    hook_block(block, threads_);
    order_of_threads_.clear();
    for (unsigned i = 0; i < threads_; i++) {
        order_of_threads_.push_back(i);
        prepare(i);
    }
    shuffle(order_of_threads_);
    ready_.clear();
    for (unsigned thread : order_of_threads_) ready_.push_back(thread);
    current.on_device = true;
    enter(ready_.pop());
    current.on_device = false;
    hook_block_end();
}

// A stack that looks as if fiber_main had been called and then switched away from.
void Machine::prepare(unsigned index) {
    Fiber& fiber = fibers_[index];
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(fiber.stack + kGuardBytes, kStackBytes);  // the last thread on it never returned
    fiber.fake_stack = nullptr;
#endif
    const dim3& size = current.block_size;
    fiber.thread = {index % size.x, index / size.x % size.y, index / (size.x * size.y)};
    fiber.state = State::kReady;
    fiber.copies.clear();
    fiber.copy_group = 0;
    void** top = reinterpret_cast<void**>(fiber.stack + kGuardBytes + kStackBytes);
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(&Machine::fiber_main);
    for (int saved = 0; saved < 6; saved++) *--top = nullptr;
    fiber.stack_pointer = top;
}

// ---- switching --------------------------------------------------------------------------------------------------------------------

void Machine::enter(unsigned index) {
    Fiber& fiber = fibers_[index];
    running_ = index;
    fiber.state = State::kRunning;
    current.thread = fiber.thread;
    current.linear = index;
#if defined(__SANITIZE_ADDRESS__)
    from_host_ = true;
    __sanitizer_start_switch_fiber(&host_fake_stack_, fiber.stack + kGuardBytes, kStackBytes);
#endif
    lqf_emulator_switch(&host_stack_pointer_, fiber.stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(host_fake_stack_, nullptr, nullptr);
#endif
}

void Machine::switch_to(unsigned index) {
    Fiber &from = me(), &to = fibers_[index];
    running_ = index;
    to.state = State::kRunning;
    current.thread = to.thread;
    current.linear = index;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(from.state == State::kDone ? nullptr : &from.fake_stack, to.stack + kGuardBytes,
                                   kStackBytes);
#endif
    lqf_emulator_switch(&from.stack_pointer, to.stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void Machine::leave() {
    Fiber& from = me();
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(nullptr, host_stack_, host_stack_bytes_);
#endif
    lqf_emulator_switch(&from.stack_pointer, host_stack_pointer_);
}

void Machine::switch_to_next() {
    if (ready_.empty()) {
        if (alive_ > 0) stuck();
        leave();
        return;
    }
    const unsigned next = ready_.pop();
    if (next == running_)
        me().state = State::kRunning;
    else
        switch_to(next);
}

void Machine::fiber_main() {
    Machine& m = machine();
#if defined(__SANITIZE_ADDRESS__)
    const void* bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (m.from_host_) {
        m.host_stack_ = bottom;
        m.host_stack_bytes_ = bytes;
        m.from_host_ = false;
    }
#endif
    m.body_(m.closure_);
    m.finish();
}

void Machine::finish() {
    Fiber& fiber = me();
    if (!fiber.copies.empty())
        fault("a thread ends with " + std::to_string(fiber.copies.size()) + " cp.async in flight");
    fiber.state = State::kDone;
    alive_--;
    warps_[running_ / 32].alive &= ~(1u << (running_ & 31));
    if (alive_ > 0 && at_barrier_ == alive_) release_barrier();  // threads that have ended count as arrived
    switch_to_next();
    std::abort();  // nobody comes back to a thread that is done
}

// ---- faults -----------------------------------------------------------------------------------------------------------------------

void Machine::fault(const std::string& text) {
    char where[160];
    std::snprintf(where, sizeof where, " in kernel %s, block (%u,%u,%u), thread (%u,%u,%u)", kernel_, current.block.x,
                  current.block.y, current.block.z, current.thread.x, current.thread.y, current.thread.z);
    fault_ = text + where;
    leave();  // the frames of this block are abandoned: kernels own nothing
    std::abort();
}

void Machine::stuck() {
    std::string text = "the block is stuck:";
    int shown = 0;
    for (unsigned i = 0; i < threads_ && shown < 6; i++) {
        const Fiber& fiber = fibers_[i];
        if (fiber.state != State::kAtBarrier && fiber.state != State::kInWarp) continue;
        const Fiber& before = fibers_[i ? i - 1 : 0];
        if (i && before.state == fiber.state && before.site.line == fiber.site.line) continue;
        text += std::string(shown++ ? ", thread " : " thread ") + std::to_string(i) + " waits in " + fiber.what +
                " at " + fiber.site.file + ":" + std::to_string(fiber.site.line);
    }
    fault(text);
}

std::string hex(unsigned mask) {
    char text[16];
    std::snprintf(text, sizeof text, "%08x", mask);
    return text;
}

std::string at(Site site) { return std::string(" (") + site.file + ":" + std::to_string(site.line) + ")"; }

// ---- barriers and warps -----------------------------------------------------------------------------------------------------------

void Machine::release_barrier() {
    at_barrier_ = 0;
    hook_barrier();
    order_of_threads_.clear();
    for (unsigned i = 0; i < threads_; i++)
        if (fibers_[i].state == State::kAtBarrier) order_of_threads_.push_back(i);
    shuffle(order_of_threads_);
    for (unsigned i : order_of_threads_) {
        fibers_[i].state = State::kReady;
        ready_.push_back(i);
    }
}

void Machine::barrier(Site site) {
    if (at_barrier_ == 0) barrier_site_ = site;
    if (barrier_site_.line != site.line || std::strcmp(barrier_site_.file, site.file) != 0)
        fault("threads of one block wait at different barriers" + at(barrier_site_) + " and" + at(site));
    Fiber& fiber = me();
    fiber.state = State::kAtBarrier;
    fiber.site = site;
    fiber.what = "__syncthreads";
    if (++at_barrier_ == alive_) release_barrier();
    switch_to_next();
}

void Machine::warp(unsigned mask, void* argument, WarpOp op, const char* name, Site site) {
    const unsigned index = running_, lane = index & 31;
    Warp& warp = warps_[index / 32];
    if (!(mask >> lane & 1)) fault(name + at(site) + ": the calling lane is not in mask " + hex(mask));
    if (mask & ~warp.alive)
        fault(name + at(site) + ": mask " + hex(mask) + " names lanes that have ended or never were, alive are " +
              hex(warp.alive));
    auto& gatherings = warp.gatherings;
    auto g = std::find_if(gatherings.begin(), gatherings.end(), [&](const Gathering& g) { return g.mask & mask; });
    if (g == gatherings.end()) {
        gatherings.push_back({mask, 0, {}, op, name, site});
        g = gatherings.end() - 1;
    }
    if (g->mask != mask || g->op != op || g->site.line != site.line)
        fault("lanes of one warp meet in different instructions: " + std::string(g->name) + at(g->site) + " and " +
              name + at(site));
    g->arrived |= 1u << lane;
    g->arguments[lane] = argument;
    if (g->arrived != mask) {
        Fiber& fiber = me();
        fiber.state = State::kInWarp;
        fiber.site = site;
        fiber.what = name;
        switch_to_next();
        return;
    }
    op(g->arguments, mask);
    hook_warp(index / 32, mask, op);
    *g = gatherings.back();
    gatherings.pop_back();
    // its lanes go on before other warps do
    const unsigned first = index & ~31u;
    for (unsigned other = 32; other-- > 0;)
        if ((mask >> other & 1) && other != lane) {
            fibers_[first + other].state = State::kReady;
            ready_.push_front(first + other);
        }
}

// ---- cp.async ---------------------------------------------------------------------------------------------------------------------

void arrive(const AsyncCopy& copy) {
    std::memcpy(copy.shared, copy.global, copy.source_bytes);
    std::memset(static_cast<char*>(copy.shared) + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
    hook_copy(copy.shared, copy.bytes, copy.global, copy.source_bytes);
}

void Machine::copy_async(const AsyncCopy& copy, Site site) {
    if ((uintptr_t(copy.shared) | uintptr_t(copy.global)) % copy.bytes)
        fault("cp.async" + at(site) + ": an address is not aligned to " + std::to_string(copy.bytes) + " bytes");
    auto* to = static_cast<unsigned char*>(copy.shared);
    if (to < shared_ || to + copy.bytes > shared_ + shared_bytes_)
        fault("cp.async" + at(site) + ": the destination is not in shared memory");
    if (!late_copies_) {
        arrive(copy);
        return;
    }
    std::memset(to, 0xff, copy.bytes);
    hook_copy_pending(to, copy.bytes);
    me().copies.push_back(copy);
    me().copies.back().group = me().copy_group;
}

void Machine::copy_wait(int groups_left) {
    Fiber& fiber = me();
    const int keep = fiber.copy_group - groups_left;
    size_t left = 0;
    for (const AsyncCopy& copy : fiber.copies)
        if (copy.group < keep)
            arrive(copy);
        else
            fiber.copies[left++] = copy;
    fiber.copies.resize(left);
}

}  // namespace

void fault(const char* pattern, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    if (!current.on_device) throw std::runtime_error(text);
    machine().fault(text);
}

void run(const char* kernel, dim3 grid, dim3 block, size_t shared_bytes, void (*body)(void*), void* closure) {
    std::lock_guard<std::mutex> one_at_a_time(launches());
    machine().launch(kernel, grid, block, shared_bytes, body, closure);
}

void barrier(Site site) { machine().barrier(site); }

void warp(unsigned mask, void* argument, WarpOp op, const char* name, Site site) {
    machine().warp(mask, argument, op, name, site);
}

void copy_async(void* shared, const void* global, unsigned bytes, unsigned source_bytes, Site site) {
    machine().copy_async({shared, global, bytes, source_bytes, 0}, site);
}

void copy_commit() { machine().copy_commit(); }

void copy_wait(int groups_left) { machine().copy_wait(groups_left); }

}  // namespace lqf::emulator
