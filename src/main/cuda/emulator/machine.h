// The machine that kernels run on when g++ compiles them: one block at a time, every CUDA thread of it a fiber with a stack of its own.
// What it is strict about, because a GPU is not: which barrier a thread waits at, who takes part in a warp instruction, what shared
// memory holds before it is written (NaN), when cp.async data arrives. A fault ends the launch with an exception that names it.
//
// Environment, read at every launch:
//   LQF_EMULATOR_ORDER=forward|reversed|random   in which order blocks and threads run; results must not depend on it
//   LQF_EMULATOR_COPIES=late|early               cp.async data arrives at the wait that completes it (default), or at once: the first finds
//                                                missing waits, the second buffers that are refilled too early
//   LQF_EMULATOR_DEVICE=...                      which card this pretends to be: see runtime.cpp
#ifndef LQF_EMULATOR_MACHINE_H
#define LQF_EMULATOR_MACHINE_H

#include <cstddef>
#include <cstdint>

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace lqf::emulator {

// The thread that runs now. One launch at a time, so one of these is enough.
struct Current {
    uint3 thread, block;
    dim3 block_size, grid_size;
    unsigned linear = 0;              // of the thread in its block
    unsigned char* shared = nullptr;  // dynamic shared memory of the block
    size_t shared_bytes = 0;
    bool on_device = false;
};
extern Current current;

// A place in a kernel's source.
struct Site {
    const char* file;
    int line;
};
// As a default argument the place of the call. NOTE: not Site{...}, which g++ evaluates where the default stands.
#define LQF_SITE \
    { __builtin_FILE(), __builtin_LINE() }

// Ends the launch: the host gets a std::runtime_error with this text, the kernel, block and thread.
[[noreturn]] void fault(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

// Runs body(closure) once for every thread of the grid.
void run(const char* kernel, dim3 grid, dim3 block, size_t shared_bytes, void (*body)(void*), void* closure);

void barrier(Site site);

// An instruction that a warp executes together: every lane of the mask leaves its argument, the last one to come runs op for all.
using WarpOp = void (*)(void* const* lanes, unsigned mask);
void warp(unsigned mask, void* argument, WarpOp op, const char* name, Site site);

void copy_async(void* shared, const void* global, unsigned bytes, unsigned source_bytes, Site site);
void copy_commit();
void copy_wait(int groups_left);

}  // namespace lqf::emulator
#endif
