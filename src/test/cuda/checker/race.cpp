// Finds races of kernels: two accesses to the same bytes, one of them a write, that no barrier orders; reads of memory that nobody has
// written; misuse of cp.async.
//
// The kernels are compiled with -fsanitize=thread, so that g++ calls __tsan_readN and __tsan_writeN at every access that is not to a
// local variable, and are linked with this file instead of libtsan: it knows blocks, warps, barriers and copies, which libtsan does not.
// This file is compiled without instrumentation. Every 4 bytes of device and shared memory have a shadow cell.
//
// What orders two accesses: another launch; a __syncthreads between them, in one block; a __syncwarp between them, in one warp.
// Blocks of one launch are never ordered.
#include "race.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "banks.h"
#include "emulator/hooks.h"
#include "gpu.cuh"

namespace lqf::emulator {

namespace {

enum class By : uint8_t { nobody, thread, host };

struct Access {
    By by = By::nobody;
    uint8_t bytes = 0;  // a bit for each of the four
    uint16_t thread = 0, clock = 0;
    uint32_t launch = 0, barriers = 0;
    uint64_t block = 0;
    const void* place = nullptr;  // in the code
};

struct Cell {
    Access write, read, other_read;
    bool pending = false;  // a cp.async has not arrived
};

struct Memory {
    uintptr_t begin = 0;
    size_t bytes = 0;
    std::vector<Cell> cells;
};

struct Checker {
    std::map<uintptr_t, std::unique_ptr<Memory>> device;
    Memory shared;
    Memory* last = nullptr;
    const char* kernel = "";
    uint32_t launch = 0, barriers = 0;
    uint64_t block = 0;
    // clocks[thread][lane]: how far that lane of its warp had come when a __syncwarp last joined them
    std::vector<std::array<uint16_t, 32>> clocks;
    std::set<std::string> findings;
    std::vector<std::string> texts;
    Banks banks;  // of the first block of a launch
    std::map<std::string, BankUse> bank_uses;
};

Checker& checker() {
    static Checker& instance = *new Checker;
    return instance;
}

bool contains(const Memory& memory, uintptr_t address) {
    return address >= memory.begin && address - memory.begin < memory.bytes;
}

Memory* memory_of(uintptr_t address) {
    Checker& c = checker();
    if (contains(c.shared, address)) return &c.shared;
    if (c.last && contains(*c.last, address)) return c.last;
    auto after = c.device.upper_bound(address);
    if (after == c.device.begin()) return nullptr;
    Memory* memory = (--after)->second.get();
    if (!contains(*memory, address)) return nullptr;
    return c.last = memory;
}

Cell& cell_of(Memory& memory, uintptr_t address) { return memory.cells[(address - memory.begin) / 4]; }

void report(const char* what, const Memory& memory, uintptr_t address, const void* place, const Access* earlier) {
    Checker& c = checker();
    char key[160], text[512];
    std::snprintf(key, sizeof key, "%s %s %p %p", what, c.kernel, place, earlier ? earlier->place : nullptr);
    if (!c.findings.insert(key).second) return;
    int length = std::snprintf(text, sizeof text, "%s: %s, %s memory + %zu, block %llu thread %u at %p", c.kernel, what,
                               &memory == &c.shared ? "shared" : "device", size_t(address - memory.begin),
                               static_cast<unsigned long long>(c.block), current.linear, place);
    if (earlier)
        std::snprintf(text + length, sizeof text - size_t(length), "; before it block %llu thread %u at %p",
                      static_cast<unsigned long long>(earlier->block), unsigned(earlier->thread), earlier->place);
    c.texts.emplace_back(text);
}

// Whether an earlier access is ordered before what the running thread does now.
bool ordered(const Access& earlier) {
    const Checker& c = checker();
    if (earlier.by != By::thread || earlier.launch != c.launch) return true;
    if (earlier.block != c.block) return false;
    const unsigned me = current.linear;
    if (earlier.thread == me || earlier.barriers < c.barriers) return true;
    return earlier.thread / 32 == me / 32 && c.clocks[me][earlier.thread % 32] >= earlier.clock;
}

void touch_cell(Memory& memory, uintptr_t address, uint8_t bytes, bool writes, const void* place) {
    Checker& c = checker();
    Cell& cell = cell_of(memory, address);
    if (cell.pending)
        report(writes ? "write to a cp.async that has not arrived" : "read of a cp.async before its wait", memory,
               address, place, &cell.write);
    else if (cell.write.by == By::nobody && !writes)
        report("read of memory that nobody has written", memory, address, place, nullptr);
    if ((cell.write.bytes & bytes) && !ordered(cell.write))
        report(writes ? "two writes race" : "a read races with an earlier write", memory, address, place, &cell.write);
    const unsigned me = current.linear;
    const Access now{By::thread, bytes, uint16_t(me), c.clocks[me][me % 32], c.launch, c.barriers, c.block, place};
    if (writes) {
        for (const Access* read : {&cell.read, &cell.other_read})
            if ((read->bytes & bytes) && !ordered(*read)) {
                report("a write races with an earlier read", memory, address, place, read);
                break;
            }
        cell.write = now;
    } else if (cell.read.thread == me || ordered(cell.read)) {
        cell.read = now;
    } else {
        cell.other_read = now;  // of many unordered readers two are enough to find one
    }
}

void watch(const void* memory, size_t bytes, bool writes, const void* place) {
    if (!current.on_device) return;
    uintptr_t address = reinterpret_cast<uintptr_t>(memory);
    Memory* known = memory_of(address);
    if (!known)
        return;  // a kernel's own stack; what lies outside of every allocation is the address sanitizer's business
    const uintptr_t end = std::min(address + bytes, known->begin + known->bytes);
    while (address < end) {
        const unsigned first = address & 3;
        const unsigned count = unsigned(std::min<uintptr_t>(4 - first, end - address));
        touch_cell(*known, address, uint8_t(((1u << count) - 1) << first), writes, place);
        address += count;
    }
}

void touch(const void* memory, size_t bytes, bool writes, const void* place) {
    Checker& c = checker();
    const uintptr_t address = reinterpret_cast<uintptr_t>(memory);
    if (current.on_device && c.block == 0 && contains(c.shared, address))
        c.banks.access(current.linear, place, address - c.shared.begin, bytes);
    watch(memory, bytes, writes, place);
}

void reset(Memory& memory, uintptr_t begin, size_t bytes) {
    memory.begin = begin;
    memory.bytes = bytes;
    memory.cells.assign((bytes + 3) / 4, Cell{});
}

template <typename Change>
void each_cell(const void* begin, size_t bytes, Change change) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(begin);
    Memory* memory = memory_of(address);
    if (!memory) return;
    for (size_t at = 0; at < bytes; at += 4) change(cell_of(*memory, address + at));
}

}  // namespace

std::vector<std::string> take_findings() {
    std::vector<std::string> texts;
    texts.swap(checker().texts);
    checker().findings.clear();
    return texts;
}

std::map<std::string, BankUse> take_bank_uses() {
    std::map<std::string, BankUse> uses;
    uses.swap(checker().bank_uses);
    return uses;
}

// ---- what the machine tells -------------------------------------------------------------------------------------------------------

void hook_launch(const char* kernel, uint64_t) {
    checker().kernel = kernel;
    checker().launch++;
}

void hook_launch_end() {}

void hook_block(uint3 block, unsigned threads) {
    Checker& c = checker();
    c.block = (uint64_t(block.z) << 48) + (uint64_t(block.y) << 32) + block.x;
    c.barriers = 0;
    reset(c.shared, c.shared.begin, c.shared.bytes);
    c.clocks.assign(threads, {});
    for (unsigned t = 0; t < threads; t++) c.clocks[t][t % 32] = 1;
}

void hook_block_end() {
    Checker& c = checker();
    if (c.block == 0) c.banks.end_block(c.bank_uses[c.kernel]);
}
void hook_map_shared(unsigned char* memory, size_t bytes) {
    reset(checker().shared, reinterpret_cast<uintptr_t>(memory), bytes);
}
void hook_unmap_shared() { reset(checker().shared, 0, 0); }
void hook_barrier() { checker().barriers++; }

// Every lane of the mask now knows what every other had done before; then its own clock goes on.
void hook_warp(unsigned warp, unsigned mask, WarpOp op) {
    if (op != order_memory) return;  // shuffles and matrix instructions order nothing
    Checker& c = checker();
    std::array<uint16_t, 32> joined{};
    for (unsigned l = 0; l < 32; l++)
        if (mask >> l & 1)
            for (unsigned k = 0; k < 32; k++) joined[k] = std::max(joined[k], c.clocks[warp * 32 + l][k]);
    for (unsigned l = 0; l < 32; l++) {
        if (!(mask >> l & 1)) continue;
        c.clocks[warp * 32 + l] = joined;
        c.clocks[warp * 32 + l][l]++;
    }
}

void hook_copy(void* shared, unsigned bytes, const void* global, unsigned source_bytes) {
    each_cell(shared, bytes, [](Cell& cell) { cell.pending = false; });
    static const char place[] = "cp.async";  // NOTE: that arrives, so that banks count it once
    touch(global, source_bytes, false, place);
    touch(shared, bytes, true, place);
}

void hook_copy_pending(void* shared, unsigned bytes) {
    static const char place[] = "cp.async";
    watch(shared, bytes, true, place);
    each_cell(shared, bytes, [](Cell& cell) { cell.pending = true; });
}

void hook_read(const void* memory, size_t bytes) { touch(memory, bytes, false, __builtin_return_address(0)); }

void hook_allocate(void* memory, size_t bytes) {
    auto shadow = std::make_unique<Memory>();
    reset(*shadow, reinterpret_cast<uintptr_t>(memory), bytes);
    checker().device[shadow->begin] = std::move(shadow);
}

void hook_release(void* memory) {
    checker().last = nullptr;
    checker().device.erase(reinterpret_cast<uintptr_t>(memory));
}

void hook_host_write(void* device, size_t bytes) {
    each_cell(device, bytes, [](Cell& cell) {
        cell = Cell{};
        cell.write.by = By::host;
    });
}

}  // namespace lqf::emulator

// ---- wide accesses of kernels, one instruction each ------------------------------------------------------------------------------

namespace lqf::gpu {

namespace {

template <typename T, typename E>
T* checked(const E* p, emulator::Site site, bool writes, const void* place) {
    if (reinterpret_cast<uintptr_t>(p) % sizeof(T))
        emulator::fault("%s:%d: an access of %zu bytes at a misaligned address", site.file, site.line, sizeof(T));
    emulator::touch(p, sizeof(T), writes, place);
    return reinterpret_cast<T*>(const_cast<E*>(p));
}

}  // namespace

float4 ld4(const float* p, emulator::Site site) {
    return *checked<float4>(p, site, false, __builtin_return_address(0));
}
double2 ld2(const double* p, emulator::Site site) {
    return *checked<double2>(p, site, false, __builtin_return_address(0));
}
float2 ld2(const float* p, emulator::Site site) {
    return *checked<float2>(p, site, false, __builtin_return_address(0));
}
void st4(float* p, float4 v, emulator::Site site) { *checked<float4>(p, site, true, __builtin_return_address(0)) = v; }
void st2(float* p, float2 v, emulator::Site site) { *checked<float2>(p, site, true, __builtin_return_address(0)) = v; }

}  // namespace lqf::gpu

// ---- what g++ plants --------------------------------------------------------------------------------------------------------------

#define LQF_PLACE __builtin_return_address(0)
#define LQF_ACCESS(N)                                                                        \
    void __tsan_read##N(void* p) { lqf::emulator::touch(p, N, false, LQF_PLACE); }           \
    void __tsan_write##N(void* p) { lqf::emulator::touch(p, N, true, LQF_PLACE); }           \
    void __tsan_unaligned_read##N(void* p) { lqf::emulator::touch(p, N, false, LQF_PLACE); } \
    void __tsan_unaligned_write##N(void* p) { lqf::emulator::touch(p, N, true, LQF_PLACE); }

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
LQF_ACCESS(1)
LQF_ACCESS(2)
LQF_ACCESS(4)
LQF_ACCESS(8)
LQF_ACCESS(16)
void __tsan_read_range(void* p, unsigned long n) { lqf::emulator::touch(p, n, false, LQF_PLACE); }
void __tsan_write_range(void* p, unsigned long n) { lqf::emulator::touch(p, n, true, LQF_PLACE); }
void* __tsan_memcpy(void* to, const void* from, unsigned long n) {
    lqf::emulator::touch(from, n, false, LQF_PLACE);
    lqf::emulator::touch(to, n, true, LQF_PLACE);
    return std::memcpy(to, from, n);
}
void* __tsan_memset(void* to, int byte, unsigned long n) {
    lqf::emulator::touch(to, n, true, LQF_PLACE);
    return std::memset(to, byte, n);
}
// Guards of function-local statics and counters, in host code of the same files.
unsigned char __tsan_atomic8_load(const unsigned char* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
long __tsan_atomic64_load(const long* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
long __tsan_atomic64_fetch_add(long* p, long v, int) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
long __tsan_atomic64_fetch_sub(long* p, long v, int) { return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST); }
}
