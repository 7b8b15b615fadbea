// What nvcc gives a kernel for free, for g++: qualifiers, vector types, built-in variables and functions. Only what kernels here use.
#ifndef LQF_EMULATOR_LANGUAGE_H
#define LQF_EMULATOR_LANGUAGE_H

#include <algorithm>
#include <cmath>
#include <cstring>

#include "machine.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
inline unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

#define threadIdx (::lqf::emulator::current.thread)
#define blockIdx (::lqf::emulator::current.block)
#define blockDim (::lqf::emulator::current.block_size)
#define gridDim (::lqf::emulator::current.grid_size)

inline void __syncthreads(lqf::emulator::Site site = LQF_SITE) { lqf::emulator::barrier(site); }

namespace lqf::emulator {
// What lanes that meet in __syncwarp do together: nothing but see each other's memory.
inline void order_memory(void* const*, unsigned) {}
}  // namespace lqf::emulator

inline void __syncwarp(unsigned mask = 0xffffffffu, lqf::emulator::Site site = LQF_SITE) {
    lqf::emulator::warp(mask, nullptr, lqf::emulator::order_memory, "__syncwarp", site);
}

namespace lqf::emulator {

struct Shuffle {
    unsigned char in[8], out[8];
    unsigned source;  // lane
};

inline void shuffle(void* const* lanes, unsigned mask) {
    for (unsigned lane = 0; lane < 32; lane++) {
        if (!(mask >> lane & 1)) continue;
        auto* mine = static_cast<Shuffle*>(lanes[lane]);
        if (mask >> mine->source & 1)
            std::memcpy(mine->out, static_cast<Shuffle*>(lanes[mine->source])->in, 8);
        else
            std::memset(mine->out, 0xff, 8);  // undefined on a GPU
    }
}

template <typename T>
T shuffle_from(unsigned mask, T value, unsigned source, const char* name, Site site) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    Shuffle exchange{};
    std::memcpy(exchange.in, &value, sizeof(T));
    exchange.source = source;
    warp(mask, &exchange, shuffle, name, site);
    std::memcpy(&value, exchange.out, sizeof(T));
    return value;
}

}  // namespace lqf::emulator

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, lqf::emulator::Site site = LQF_SITE) {
    return lqf::emulator::shuffle_from(mask, value, unsigned(source) & 31, "__shfl_sync", site);
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance, lqf::emulator::Site site = LQF_SITE) {
    return lqf::emulator::shuffle_from(mask, value, (lqf::emulator::current.linear ^ unsigned(distance)) & 31,
                                       "__shfl_xor_sync", site);
}

template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, lqf::emulator::Site site = LQF_SITE) {
    const unsigned lane = lqf::emulator::current.linear & 31;
    return lqf::emulator::shuffle_from(mask, value, lane + distance < 32 ? lane + distance : lane, "__shfl_down_sync",
                                       site);
}

using std::max;
using std::min;

#endif
