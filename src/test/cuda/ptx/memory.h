// How handlers see registers and memory.
#ifndef LQF_PTX_MEMORY_H
#define LQF_PTX_MEMORY_H

#include <cstring>

#include "emulator/runtime.h"
#include "ptx.h"

namespace lqf::ptx {

template <typename T>
T get(const Thread& t, int slot) {
    T value;
    std::memcpy(&value, &t.registers[size_t(slot)], sizeof(T));
    return value;
}

template <typename T>
void set(Thread& t, int slot, T value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    t.registers[size_t(slot)] = bits;
}

inline std::string hex(uint64_t address) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
    return text;
}

// The bytes behind an address, after all checks.
inline unsigned char* memory(Block& block, Thread& t, Space space, uint64_t address, size_t bytes,
                             const Instruction& in) {
    auto fail = [&](const char* what) { return Failure(std::string(what) + " at " + hex(address) + ": " + in.text); };
    if (address % bytes) throw fail("misaligned access");
    if (space == Space::generic) {
        if (address & kSharedWindow)
            space = Space::shared;
        else if (address & kLocalWindow)
            space = Space::local;
        else
            space = Space::global;
    }
    const uint64_t offset = address & ~(kSharedWindow | kLocalWindow);
    auto within = [&](std::vector<unsigned char>& all) {
        if (offset > all.size() || bytes > all.size() - offset) throw fail("access out of bounds");
        return all.data() + offset;
    };
    switch (space) {
        case Space::shared:
            return within(block.shared);
        case Space::local:
            return within(t.local);
        case Space::parameter:
            return within(block.parameters);
        default:
            if (!emulator::is_device_memory(reinterpret_cast<const void*>(address), bytes))
                throw fail("access outside of all device memory");
            return reinterpret_cast<unsigned char*>(address);
    }
}

}  // namespace lqf::ptx
#endif
