// Memory, and the border between plain order and the layout of this back end, which is plain order too.
#include <cstdlib>
#include <cstring>

#include "reference/reference.h"

namespace lqf::reference {

void* allocate(size_t bytes) {
    const size_t alignment = 64;
    if (bytes > SIZE_MAX - alignment) return nullptr;
    return std::aligned_alloc(alignment, bytes == 0 ? alignment : (bytes + alignment - 1) / alignment * alignment);
}

void release(void* memory) { std::free(memory); }

void copy_in(void* device, const void* host, size_t bytes) { std::memcpy(device, host, bytes); }

void copy_out(void* host, const void* device, size_t bytes) { std::memcpy(host, device, bytes); }

void import_images(Threads&, int n, int c, int h, int w, const float* images, float* x) {
    std::memcpy(x, images, sizeof(float) * n * c * h * w);
}

void export_outputs(Threads&, int n, int c, const float* y, float* out) { std::memcpy(out, y, sizeof(float) * n * c); }

void import_cotangent(Threads&, int n, int c, const float* u, float* y_bar) {
    std::memcpy(y_bar, u, sizeof(float) * n * c);
}

}  // namespace lqf::reference
