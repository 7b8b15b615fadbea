// Work on a device that computes beside the host: ops only join a queue, in the order of their calls. A device whose ops are done when they
// return has none.
#ifndef LQF_QUEUE_H
#define LQF_QUEUE_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace lqf {

class Queue {
public:
    // Frees what it holds. Nothing of it may be in use: its engine goes last.
    virtual ~Queue() = default;

    // From enter to leave the ops that this thread calls join this queue, and no other thread may use it.
    virtual void enter() = 0;
    virtual void leave() = 0;

    // Where its ops are queued, in the device's terms.
    virtual void* stream() const = 0;

    // Waits until everything that joined so far is done.
    virtual void synchronise() = 0;

    // Bytes that it holds: scratch of ops, buffers for what arrives and departs.
    virtual int64_t bytes() const = 0;

    // Throws LQF_INVALID, naming it, unless these bytes are memory of this device, aligned to 16.
    virtual void check(const void* memory, size_t bytes, const char* name) const = 0;

    // ---- copies beside what is computed

    // Brings bytes of the host to the device; returns where. They are there for what joins next, until the next arrival but one; the host's
    // memory is the caller's again. capacity: the most bytes that this caller will ever bring.
    virtual const float* arrive(const float* host, size_t bytes, size_t capacity) = 0;

    // Memory of the host that departures go to, at least bytes long; there is one.
    virtual float* outbox(size_t bytes) = 0;
    // Copies what was computed so far into the outbox, beside what joins next; settle waits for none, but lets what joins next come after them.
    virtual void depart(float* outbox, const float* device, size_t bytes) = 0;
    virtual void settle() = 0;

    // ---- graphs

    // What work made join, to be done again and again.
    class Graph {
    public:
        virtual ~Graph() = default;
    };
    // Calls work (twice if it needs more scratch than there is); nothing is done but recorded. Null if the device refuses: then work has to
    // be called for good.
    virtual std::unique_ptr<Graph> capture(const std::function<void()>& work) = 0;
    // Joins it; false if the addresses in it are no longer good.
    virtual bool replay(const Graph& graph) = 0;

    // ---- what the host has asked of the driver so far, in this process
    struct Counts {
        int64_t launches, graphs, allocations;  // kernels, replays, device or pinned memory
    };
    virtual Counts counts() const = 0;
};

}  // namespace lqf
#endif
