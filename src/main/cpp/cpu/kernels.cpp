#include "kernels.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace lqf::cpu {
namespace {

bool available(const Kernels& k) {
    __builtin_cpu_init();
    if (&k == &kAvx512Kernels)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("fma");
    if (&k == &kAvx2Kernels) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return true;
}

const Kernels* const kAll[] = {&kAvx512Kernels, &kAvx2Kernels, &kPortableKernels};  // best first

const Kernels* named(const char* name) {
    for (const Kernels* k : kAll)
        if (std::strcmp(k->name, name) == 0 && available(*k)) return k;
    return nullptr;
}

const Kernels* choose() {
    if (const char* wanted = std::getenv("LQF_ISA"))
        if (const Kernels* k = named(wanted)) return k;
    for (const Kernels* k : kAll)
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
