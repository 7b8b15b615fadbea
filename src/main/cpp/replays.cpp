#include "replays.h"

#include <algorithm>

namespace lqf {

void Replays::run(Queue* queue, const Key& key, const std::function<void()>& work) {
    if (!queue) {
        work();
        return;
    }
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.key == key; });
    if (found != kept_.end()) {
        kept_.splice(kept_.begin(), kept_, found);
        if (queue->replay(*found->graph)) return;
        kept_.pop_front();
    }
    std::unique_ptr<Queue::Graph> graph = queue->capture(work);
    if (!graph || !queue->replay(*graph)) {
        work();
        return;
    }
    kept_.push_front({key, std::move(graph)});
    if (int64_t(kept_.size()) > kMost) kept_.pop_back();
}

}  // namespace lqf
