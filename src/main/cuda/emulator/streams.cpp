// Streams, events, capture and graphs. When work is done is what a GPU leaves open, so LQF_EMULATOR_STREAMS chooses:
//   now (default)  at once, in the order of the host's calls
//   late           not before the host waits for it, and only what it waits for: a stream that should have waited for another reads what
//                  is not there yet
//   copies-first   copies as soon as the events allow, kernels late: a copy that should have waited overwrites what is still needed
//   kernels-first  the reverse
//   random         some of what may be done, at every call
// Within a stream everything is done in order. A graph's nodes are done in an order that its edges allow, chosen likewise.
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime.h"

namespace lqf::emulator {

// One recording of an event.
struct Record {
    Stream* stream;
    bool done = false;
};

struct Node {
    Work kind;
    std::function<void()> work;
    std::vector<size_t> after;  // nodes
};

struct Capture {
    Stream* origin;
    std::vector<Node> nodes;
    std::vector<Stream*> streams;
    bool spoilt = false, ended = false;
};

struct Event {
    std::shared_ptr<Record> record;  // the last one; null: none, and waiting for it is nothing
    std::shared_ptr<Capture> capture;
    std::vector<size_t> nodes;  // of the capture: what it stands for
};

struct Stream {
    struct Item {
        Work kind;
        std::function<void()> work;       // null: an event
        std::shared_ptr<Record> records;  // is done here
        std::shared_ptr<Record> awaits;
    };
    std::deque<Item> items;
    std::shared_ptr<Capture> capture;
    std::vector<size_t> last;  // nodes of the capture that the next one comes after
};

struct Graph {
    std::shared_ptr<std::vector<Node>> nodes;
};

struct GraphExec {
    std::shared_ptr<std::vector<Node>> nodes;  // a launch that waits keeps them
};

namespace {

enum class When { now, late, copies_first, kernels_first, random };

When when() {
    const char* setting = std::getenv("LQF_EMULATOR_STREAMS");
    const std::string name = setting ? setting : "now";
    if (name == "now") return When::now;
    if (name == "late") return When::late;
    if (name == "copies-first") return When::copies_first;
    if (name == "kernels-first") return When::kernels_first;
    if (name == "random") return When::random;
    throw std::runtime_error("LQF_EMULATOR_STREAMS is " + name +
                             ", expected now, late, copies-first, kernels-first or random");
}

struct Streams {
    std::recursive_mutex mutex;  // of everything in this file
    std::vector<Stream*> all;
    std::mt19937 random{1};
};

Streams& streams() {
    static Streams& instance = *new Streams;  // never destroyed: a JVM may use it while it exits
    return instance;
}

using Lock = std::lock_guard<std::recursive_mutex>;

thread_local Capture* captured_here = nullptr;  // by this thread

bool ready(const Stream& stream) {
    return !stream.items.empty() && (!stream.items.front().awaits || stream.items.front().awaits->done);
}

void do_next(Stream& stream) {
    const Stream::Item item = std::move(stream.items.front());
    stream.items.pop_front();  // before a fault
    if (item.work) item.work();
    if (item.records) item.records->done = true;
}

void finish(const Record& record);

// Does a stream's next item, after what it waits for.
void advance(Stream& stream) {
    if (const auto awaited = stream.items.front().awaits) finish(*awaited);
    do_next(stream);
}

void finish(const Record& record) {
    while (!record.done) advance(*record.stream);
}

// Of the choices the one that is done next.
template <typename T, typename IsCopy>
T choose(const std::vector<T>& choices, IsCopy is_copy) {
    const When order = when();
    if (order == When::random) return choices[streams().random() % choices.size()];
    if (order == When::now) return choices.front();
    const auto wanted = std::find_if(choices.begin(), choices.end(),
                                     [&](const T& choice) { return is_copy(choice) == (order == When::copies_first); });
    return wanted == choices.end() ? choices.front() : *wanted;
}

// After every call: does what is not to wait.
void progress() {
    const When order = when();
    if (order == When::late) return;
    const auto is_event = [](const Stream* stream) { return !stream->items.front().work; };
    const auto is_copy = [](const Stream* stream) { return stream->items.front().kind == Work::copy; };
    for (size_t steps = order == When::random ? streams().random() % 3 : SIZE_MAX; steps > 0; steps--) {
        std::vector<Stream*> choices;
        for (Stream* stream : streams().all) {
            if (!ready(*stream)) continue;
            if (order == When::copies_first && !is_event(stream) && !is_copy(stream)) continue;
            if (order == When::kernels_first && !is_event(stream) && is_copy(stream)) continue;
            choices.push_back(stream);
        }
        if (choices.empty()) return;
        do_next(*choose(choices, is_copy));
    }
}

void add(Stream& stream, Stream::Item item) {
    stream.items.push_back(std::move(item));
    progress();
}

void run_graph(const std::vector<Node>& nodes) {
    std::vector<bool> done(nodes.size());
    for (size_t left = nodes.size(); left > 0; left--) {
        std::vector<size_t> choices;
        for (size_t i = 0; i < nodes.size(); i++)
            if (!done[i] &&
                std::all_of(nodes[i].after.begin(), nodes[i].after.end(), [&](size_t n) { return done[n]; }))
                choices.push_back(i);
        const size_t next = choose(choices, [&](size_t i) { return nodes[i].kind == Work::copy; });
        nodes[next].work();
        done[next] = true;
    }
}

cudaError_t spoil(Capture& capture, cudaError_t error) {
    capture.spoilt = true;
    return error;
}

// Whether every node of every stream of the capture comes before the last ones of its origin.
bool is_joined(const Capture& capture) {
    std::vector<bool> before(capture.nodes.size());
    std::vector<size_t> open = capture.origin->last;
    while (!open.empty()) {
        const size_t node = open.back();
        open.pop_back();
        if (before[node]) continue;
        before[node] = true;
        open.insert(open.end(), capture.nodes[node].after.begin(), capture.nodes[node].after.end());
    }
    return std::all_of(before.begin(), before.end(), [](bool joined) { return joined; });
}

}  // namespace

void enqueue(Stream* stream, Work kind, std::function<void()> work) {
    const Lock lock(streams().mutex);
    if (!stream) {
        work();
    } else if (stream->capture) {
        auto& nodes = stream->capture->nodes;
        nodes.push_back({kind, std::move(work), stream->last});
        stream->last = {nodes.size() - 1};
    } else {
        add(*stream, {kind, std::move(work), nullptr, nullptr});
    }
}

cudaError_t outside_of_capture() {
    return captured_here ? spoil(*captured_here, cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

}  // namespace lqf::emulator

using namespace lqf::emulator;

// ---- streams and events -----------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    const Lock lock(streams().mutex);
    *stream = new Stream;
    streams().all.push_back(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    const Lock lock(streams().mutex);
    while (!stream->items.empty()) advance(*stream);
    auto& all = streams().all;
    all.erase(std::find(all.begin(), all.end(), stream));
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (!stream) return cudaSuccess;
    const Lock lock(streams().mutex);
    if (stream->capture) return spoil(*stream->capture, cudaErrorStreamCaptureUnsupported);
    while (!stream->items.empty()) advance(*stream);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    *event = new Event;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    const Lock lock(streams().mutex);
    *event = Event{};
    if (!stream) return cudaSuccess;  // it has done everything
    if (stream->capture) {
        event->capture = stream->capture;
        event->nodes = stream->last;
    } else {
        event->record = std::make_shared<Record>(Record{stream});
        add(*stream, {Work::copy, nullptr, event->record, nullptr});
    }
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    const Lock lock(streams().mutex);
    if (event->capture && event->capture->ended) return cudaErrorCapturedEvent;
    if (!event->capture && stream && stream->capture) return spoil(*stream->capture, cudaErrorStreamCaptureIsolation);
    if (!event->capture) {
        if (stream && event->record) add(*stream, {Work::copy, nullptr, nullptr, event->record});
        if (!stream && event->record) finish(*event->record);
        return cudaSuccess;
    }
    if (!stream) return spoil(*event->capture, cudaErrorStreamCaptureUnsupported);
    if (!stream->capture) {
        stream->capture = event->capture;
        stream->capture->streams.push_back(stream);
        stream->last.clear();
    } else if (stream->capture != event->capture) {
        return spoil(*stream->capture, spoil(*event->capture, cudaErrorStreamCaptureMerge));
    }
    stream->last.insert(stream->last.end(), event->nodes.begin(), event->nodes.end());
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    const Lock lock(streams().mutex);
    if (event->capture)
        return event->capture->ended ? cudaErrorCapturedEvent : spoil(*event->capture, cudaErrorCapturedEvent);
    if (event->record) finish(*std::shared_ptr<Record>(event->record));
    return cudaSuccess;
}

// ---- graphs -----------------------------------------------------------------------------------------------------------------------

static bool capture_setting_is(const char* value) {
    const char* setting = std::getenv("LQF_EMULATOR_CAPTURE");
    return setting && std::string(setting) == value;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    const Lock lock(streams().mutex);
    if (!stream || stream->capture || captured_here || capture_setting_is("refused"))
        return cudaErrorStreamCaptureUnsupported;
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream;
    stream->capture->streams = {stream};
    stream->last.clear();
    captured_here = stream->capture.get();
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    const Lock lock(streams().mutex);
    *graph = nullptr;
    const std::shared_ptr<Capture> capture = stream->capture;
    if (!capture || capture->origin != stream || captured_here != capture.get()) return cudaErrorStreamCaptureUnmatched;
    captured_here = nullptr;
    capture->ended = true;
    const bool joined = is_joined(*capture);
    for (Stream* member : capture->streams) member->capture = nullptr;
    if (capture->spoilt) return cudaErrorStreamCaptureInvalidated;
    if (!joined) return cudaErrorStreamCaptureUnjoined;
    *graph = new Graph{std::make_shared<std::vector<Node>>(std::move(capture->nodes))};
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
    if (capture_setting_is("no-memory")) return cudaErrorMemoryAllocation;
    *exec = new GraphExec{graph->nodes};
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    if (const cudaError_t error = outside_of_capture()) return error;
    enqueue(stream, Work::kernel, [nodes = exec->nodes] { run_graph(*nodes); });
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    delete exec;
    return cudaSuccess;
}
