// Verbs that are queued kernel by kernel once and from then on as one graph.
#ifndef LQF_REPLAYS_H
#define LQF_REPLAYS_H

#include <cstdint>
#include <list>

#include "queue.h"

namespace lqf {

class Replays {
public:
    // All that the work depends on except for the contents of memory: which verb, how many images, every address that its owner does not
    // hold for life.
    struct Key {
        int verb, n;
        const void *in0, *in1, *out, *scratch;
        bool operator==(const Key& other) const {
            return verb == other.verb && n == other.n && in0 == other.in0 && in1 == other.in1 && out == other.out &&
                   scratch == other.scratch;
        }
    };

    // Has the work done, by a graph where there is a queue that can. The work must be the same for equal keys, and only make ops join.
    void run(Queue* queue, const Key& key, const std::function<void()>& work);

    // After a change of what all keys leave out.
    void clear() { kept_.clear(); }

private:
    static constexpr size_t kMost = 16;  // graphs; the one that was not used for longest goes

    struct Kept {
        Key key;
        std::unique_ptr<Queue::Graph> graph;
    };
    std::list<Kept> kept_;  // last used first
};

}  // namespace lqf
#endif
