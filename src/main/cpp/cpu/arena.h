// Memory for one matrix after another.
#ifndef LQF_CPU_ARENA_H
#define LQF_CPU_ARENA_H

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "pages.h"

namespace lqf::cpu {

// Arrays that are taken for one matrix and taken again, in the same order, for the next: the system clears what it gives, at 1 or 2 GB a second.
class Arena {
public:
    // Aligned to lines, not set to anything; until clear().
    template <class T>
    T* take(int64_t count) {
        const size_t bytes = size_t(count) * sizeof(T);
        if (next_ == arrays_.size()) arrays_.push_back({0, {nullptr, &std::free}});
        Array& array = arrays_[next_++];
        if (bytes > array.bytes) {
            array.memory.reset();
            array.bytes = 0;
            array.memory.reset(allocate_lines(bytes));
            if (!array.memory) throw std::bad_alloc();
            array.bytes = bytes;
        }
        return static_cast<T*>(array.memory.get());
    }
    void clear() { next_ = 0; }

private:
    struct Array {
        size_t bytes;
        std::unique_ptr<void, decltype(&std::free)> memory;
    };
    std::vector<Array> arrays_;
    size_t next_ = 0;
};

}  // namespace lqf::cpu
#endif
