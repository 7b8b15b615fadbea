#include "kernels.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace lqf::cpu {
namespace {

// AMX with bf16 and bytes, and AVX-512 for bf16. The state of the tiles is large: Linux saves it only for a process that has asked for it.
bool matrix_unit() {
    unsigned a, b, c, d, features;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const bool tiles = (d & bit_AMX_TILE) && (d & bit_AMX_BF16) && (d & bit_AMX_INT8);
    if (!tiles || !__get_cpuid_count(7, 1, &features, &b, &c, &d) || !(features & bit_AVX512BF16)) return false;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool available(const Kernels& k) {
    __builtin_cpu_init();
    if (k.multiply_halves) return available(kAvx512Kernels) && matrix_unit();
    if (&k == &kAvx512Kernels)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("fma");
    if (&k == &kAvx2Kernels) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return true;
}

// AVX-512 with the matrix unit.
const Kernels& amx_kernels() {
    static const Kernels kernels = [] {
        Kernels k = kAvx512Kernels;
        k.name = "avx512-amx";
        k.split_rows = amx::split_rows;
        k.multiply_halves = amx::multiply_halves;
        k.split_digits = amx::split_digits;
        k.multiply_digits = amx::multiply_digits;
        k.stream_digits = amx::stream_digits;
        k.write_digit_sums = amx::write_digit_sums;
        k.split_bytes = amx::split_bytes;
        k.split_bytes_double = amx::split_bytes;
        k.multiply_bytes = amx::multiply_bytes;
        k.multiply_bytes_double = amx::multiply_bytes;
        return k;
    }();
    return kernels;
}

// Best first.
std::array<const Kernels*, 4> all() { return {&amx_kernels(), &kAvx512Kernels, &kAvx2Kernels, &kPortableKernels}; }

const Kernels* named(const char* name) {
    for (const Kernels* k : all())
        if (std::strcmp(k->name, name) == 0 && available(*k)) return k;
    return nullptr;
}

const Kernels* choose() {
    if (const char* wanted = std::getenv("LQF_ISA"))
        if (const Kernels* k = named(wanted)) return k;
    for (const Kernels* k : all())
        if (available(*k)) return k;
    return &kPortableKernels;
}

std::atomic<const Kernels*>& current() {
    static std::atomic<const Kernels*> chosen{choose()};
    return chosen;
}

}  // namespace

const Kernels& kernels() { return *current().load(std::memory_order_relaxed); }

bool use_kernels(const char* name) {
    const Kernels* k = named(name);
    if (k) current().store(k);
    return k != nullptr;
}

}  // namespace lqf::cpu
