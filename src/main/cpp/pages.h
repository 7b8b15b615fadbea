// Memory for arrays that kernels sweep.
#ifndef LQF_PAGES_H
#define LQF_PAGES_H

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace lqf {

// 64-byte aligned, to be freed by std::free; null if there is none. Long arrays get huge pages where the system has them for those who ask:
// address translation costs convolutions some per cent otherwise.
inline void* allocate_lines(size_t bytes) {
    constexpr size_t kLine = 64, kHugePage = size_t(2) << 20;
    if (bytes > SIZE_MAX - kHugePage) return nullptr;
    const bool huge = bytes >= 2 * kHugePage;
    const size_t alignment = huge ? kHugePage : kLine;
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (huge && memory) madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

}  // namespace lqf
#endif
