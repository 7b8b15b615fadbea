// Verbs that are queued kernel by kernel once and from then on as one graph.
#ifndef LQF_REPLAYS_H
#define LQF_REPLAYS_H

#include <cstdint>
#include <list>

#include "queue.h"

namespace lqf {

class Replays {
public:
    // Walks back through a network that one graph may hold: some hundred kernels each. Work of more is split, so that graphs stay small.
    static constexpr int64_t kMostWalks = 512;
    // Graphs that are kept; the one that was not used for longest goes.
    static constexpr int64_t kMost = 16;

    // All that the work depends on except for the contents of memory: which verb, how many images, every address that its owner does not
    // hold for life, which plan (an address does not tell: another plan may get it later).
    struct Key {
        int verb, n;
        const void *in0, *in1, *out, *scratch;
        int64_t plan;
        int64_t part = 0;               // of work that is split
        int64_t first = 0, length = 0;  // of the parameters, where it is not about all
        int classes = 0;                // likewise
        bool operator==(const Key& other) const {
            return verb == other.verb && n == other.n && in0 == other.in0 && in1 == other.in1 && out == other.out &&
                   scratch == other.scratch && plan == other.plan && part == other.part && first == other.first &&
                   length == other.length && classes == other.classes;
        }
    };

    // Has the work done, by a graph where there is a queue that can. The work must be the same for equal keys, and only make ops join.
    void run(Queue* queue, const Key& key, const std::function<void()>& work);

    // After a change of what all keys leave out.
    void clear() { kept_.clear(); }

private:
    struct Kept {
        Key key;
        std::unique_ptr<Queue::Graph> graph;
    };
    std::list<Kept> kept_;  // last used first
};

}  // namespace lqf
#endif
