// Cuts arrays into chunks of fixed size for the threads.
#ifndef LQF_CPU_CHUNKS_H
#define LQF_CPU_CHUNKS_H

#include <algorithm>

#include "kernels.h"
#include "threads.h"

namespace lqf::cpu {

constexpr int64_t kChunk = 16 * 1024;  // floats: 64 KB

// work(first, n) for every chunk [first, first + n) of count floats.
template <class Work>
void each_chunk(Threads& threads, int64_t count, Work work) {
    threads.each((count + kChunk - 1) / kChunk,
                 [&](int64_t task, int) { work(task * kChunk, std::min(kChunk, count - task * kChunk)); });
}

}  // namespace lqf::cpu
#endif
