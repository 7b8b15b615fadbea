#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "gpu.cuh"

namespace lqf::gpu {
namespace {

class Setting {
public:
    Setting(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
    ~Setting() { unsetenv(name_); }
    Setting(const Setting&) = delete;

private:
    const char* name_;
};

constexpr int kFloats = 32, kBatches = 4;
constexpr size_t kBytes = kFloats * sizeof(float);

__global__ void double_kernel(const float* x, float* y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }

struct Operands {
    int unused;
    const float* x;
    float* y;
};
__global__ void double_of_kernel(Operands p) { p.y[threadIdx.x] = 2 * p.x[threadIdx.x]; }

// What a pipeline may forget to wait for.
enum Mistake {
    kNone,
    kArrival,   // the kernel does not wait for its batch
    kRead,      // a batch arrives while the kernel may still read the one before
    kStaging,   // the host refills pinned memory that is still being copied
    kComputed,  // a result departs before it is there
    kDeparted,  // the kernel overwrites a result that has not departed
    kEnd,       // the host reads results that have not departed
};
constexpr Mistake kMistakes[] = {kArrival, kRead, kStaging, kComputed, kDeparted, kEnd};

// One buffer of each kind, a stream for kernels and one for the copies of each direction.
struct Pipeline {
    float *staging, *outbox, *x, *y;
    cudaStream_t compute, up, down;
    cudaEvent_t arrived, read, computed, departed, staged;

    Pipeline() {
        CUDA_CHECK(cudaHostAlloc(reinterpret_cast<void**>(&staging), kBytes, cudaHostAllocDefault));
        CUDA_CHECK(cudaHostAlloc(reinterpret_cast<void**>(&outbox), kBatches * kBytes, cudaHostAllocDefault));
        for (float** memory : {&x, &y}) CUDA_CHECK(cudaMalloc(reinterpret_cast<void**>(memory), kBytes));
        for (cudaStream_t* stream : {&compute, &up, &down})
            CUDA_CHECK(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking));
        for (cudaEvent_t* event : {&arrived, &read, &computed, &departed, &staged})
            CUDA_CHECK(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
    }
    ~Pipeline() {
        for (cudaStream_t stream : {compute, up, down}) cudaStreamDestroy(stream);
        for (cudaEvent_t event : {arrived, read, computed, departed, staged}) cudaEventDestroy(event);
        for (float* memory : {x, y}) cudaFree(memory);
        for (float* memory : {staging, outbox}) cudaFreeHost(memory);
    }
    Pipeline(const Pipeline&) = delete;

    void upload() {
        CUDA_CHECK(cudaMemcpyAsync(x, staging, kBytes, cudaMemcpyHostToDevice, up));
        CUDA_CHECK(cudaEventRecord(arrived, up));
    }
    void compute_and_download(int batch, Mistake mistake) {
        if (mistake != kArrival) CUDA_CHECK(cudaStreamWaitEvent(compute, arrived, 0));
        if (batch > 0 && mistake != kDeparted) CUDA_CHECK(cudaStreamWaitEvent(compute, departed, 0));
        LQF_LAUNCH(double_kernel, dim3(1), dim3(kFloats), 0, compute, x, y);
        CUDA_CHECK(cudaEventRecord(read, compute));
        CUDA_CHECK(cudaEventRecord(computed, compute));
        if (mistake != kComputed) CUDA_CHECK(cudaStreamWaitEvent(down, computed, 0));
        CUDA_CHECK(cudaMemcpyAsync(outbox + batch * kFloats, y, kBytes, cudaMemcpyDeviceToHost, down));
        CUDA_CHECK(cudaEventRecord(departed, down));
    }
    std::vector<float> run(Mistake mistake) {
        for (int batch = 0; batch < kBatches; batch++) {
            if (mistake != kStaging) CUDA_CHECK(cudaEventSynchronize(staged));
            for (int i = 0; i < kFloats; i++) staging[i] = float(batch * kFloats + i);
            if (batch > 0 && mistake != kRead) CUDA_CHECK(cudaStreamWaitEvent(up, read, 0));
            upload();
            CUDA_CHECK(cudaEventRecord(staged, up));
            compute_and_download(batch, mistake);
        }
        if (mistake != kEnd) CUDA_CHECK(cudaEventSynchronize(departed));
        std::vector<float> results(outbox, outbox + kBatches * kFloats);
        for (cudaStream_t stream : {compute, up, down}) CUDA_CHECK(cudaStreamSynchronize(stream));
        return results;
    }

    // One batch as a graph; null and why if it is none.
    enum Edge { kAll, kLateArrival, kNoArrival, kNoDeparture };
    cudaGraph_t capture(Edge edges, cudaError_t* error) {
        CUDA_CHECK(cudaStreamBeginCapture(compute, cudaStreamCaptureModeThreadLocal));
        CUDA_CHECK(cudaEventRecord(read, compute));
        CUDA_CHECK(cudaStreamWaitEvent(up, read, 0));
        upload();
        if (edges == kAll || edges == kNoDeparture) CUDA_CHECK(cudaStreamWaitEvent(compute, arrived, 0));
        LQF_LAUNCH(double_kernel, dim3(1), dim3(kFloats), 0, compute, x, y);
        if (edges == kLateArrival) CUDA_CHECK(cudaStreamWaitEvent(compute, arrived, 0));
        CUDA_CHECK(cudaEventRecord(computed, compute));
        CUDA_CHECK(cudaStreamWaitEvent(down, computed, 0));
        CUDA_CHECK(cudaMemcpyAsync(outbox, y, kBytes, cudaMemcpyDeviceToHost, down));
        CUDA_CHECK(cudaEventRecord(departed, down));
        if (edges != kNoDeparture) CUDA_CHECK(cudaStreamWaitEvent(compute, departed, 0));
        cudaGraph_t graph = nullptr;
        *error = cudaStreamEndCapture(compute, &graph);
        return graph;
    }
};

std::vector<float> expected() {
    std::vector<float> results(kBatches * kFloats);
    for (size_t i = 0; i < results.size(); i++) results[i] = 2 * float(i);
    return results;
}

constexpr const char* kOrders[] = {"now", "late", "copies-first", "kernels-first", "random"};

}  // namespace

TEST_CASE("a pipeline that forgets no wait has the same results in every order") {
    for (const char* order : kOrders) {
        CAPTURE(order);
        const Setting streams("LQF_EMULATOR_STREAMS", order);
        for (int repetition = 0; repetition < 20; repetition++) CHECK(Pipeline().run(kNone) == expected());
    }
}

TEST_CASE("every forgotten wait shows in some order, and none in the order of the host's calls") {
    for (const Mistake mistake : kMistakes) {
        CAPTURE(mistake);
        int caught = 0;
        for (const char* order : kOrders) {
            const Setting streams("LQF_EMULATOR_STREAMS", order);
            const bool wrong = Pipeline().run(mistake) != expected();
            caught += wrong;
            if (std::string(order) == "now") CHECK(!wrong);
        }
        CHECK(caught > 0);
    }
}

TEST_CASE("a graph is replayed with what memory holds then, in every order that its edges allow") {
    for (const char* order : kOrders) {
        CAPTURE(order);
        const Setting streams("LQF_EMULATOR_STREAMS", order);
        Pipeline p;
        for (int i = 0; i < kFloats; i++) p.staging[i] = -1;
        cudaError_t error = cudaSuccess;
        cudaGraph_t graph = p.capture(Pipeline::kAll, &error);
        REQUIRE(error == cudaSuccess);
        cudaGraphExec_t exec = nullptr;
        CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
        CUDA_CHECK(cudaGraphDestroy(graph));
        CHECK(p.outbox[0] != p.outbox[0]);  // recording does nothing
        for (int batch = 0; batch < kBatches; batch++) {
            for (int i = 0; i < kFloats; i++) p.staging[i] = float(batch + i);
            CUDA_CHECK(cudaGraphLaunch(exec, p.compute));
            CUDA_CHECK(cudaStreamSynchronize(p.compute));
            for (int i = 0; i < kFloats; i++) CHECK(p.outbox[i] == 2 * float(batch + i));
        }
        CUDA_CHECK(cudaGraphExecDestroy(exec));
    }
}

TEST_CASE("a graph that lacks an edge is wrong in some order") {
    int caught = 0;
    for (const char* order : kOrders) {
        const Setting streams("LQF_EMULATOR_STREAMS", order);
        Pipeline p;
        for (int i = 0; i < kFloats; i++) p.staging[i] = float(i);
        cudaError_t error = cudaSuccess;
        cudaGraph_t graph = p.capture(Pipeline::kLateArrival, &error);
        REQUIRE(error == cudaSuccess);
        cudaGraphExec_t exec = nullptr;
        CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
        CUDA_CHECK(cudaGraphDestroy(graph));
        CUDA_CHECK(cudaGraphLaunch(exec, p.compute));
        CUDA_CHECK(cudaStreamSynchronize(p.compute));
        caught += !(p.outbox[kFloats - 1] == 2 * float(kFloats - 1));
        CUDA_CHECK(cudaGraphExecDestroy(exec));
    }
    CHECK(caught > 0);
}

TEST_CASE("streams that a capture forks must come back to it") {
    for (const auto edges : {Pipeline::kNoArrival, Pipeline::kNoDeparture}) {
        Pipeline p;
        cudaError_t error = cudaSuccess;
        CHECK(!p.capture(edges, &error));
        CHECK(error == cudaErrorStreamCaptureUnjoined);
        CHECK(p.run(kNone) == expected());
    }
}

TEST_CASE("a capture refuses what waits, allocates or comes from outside, and says so at its end") {
    Pipeline p;
    CUDA_CHECK(cudaEventRecord(p.read, p.up));
    const std::vector<std::pair<const char*, cudaError_t (*)(Pipeline&)>> calls = {
        {"a stream's end", [](Pipeline& q) { return cudaStreamSynchronize(q.compute); }},
        {"memory", [](Pipeline& q) { return cudaMalloc(reinterpret_cast<void**>(&q.x), kBytes); }},
        {"an event before it", [](Pipeline& q) { return cudaStreamWaitEvent(q.compute, q.read, 0); }},
        {"an event of its own",
         [](Pipeline& q) {
             CUDA_CHECK(cudaEventRecord(q.computed, q.compute));
             return cudaEventSynchronize(q.computed);
         }},
    };
    for (const auto& [what, call] : calls) {
        CAPTURE(what);
        CUDA_CHECK(cudaStreamBeginCapture(p.compute, cudaStreamCaptureModeThreadLocal));
        CHECK(call(p) != cudaSuccess);
        cudaGraph_t graph = nullptr;
        CHECK(cudaStreamEndCapture(p.compute, &graph) == cudaErrorStreamCaptureInvalidated);
        CHECK(!graph);
    }
    CHECK(p.run(kNone) == expected());
    const Setting refused("LQF_EMULATOR_CAPTURE", "refused");
    CHECK(cudaStreamBeginCapture(p.compute, cudaStreamCaptureModeThreadLocal) == cudaErrorStreamCaptureUnsupported);
}

TEST_CASE("a kernel is given no memory of the host, and none that was freed") {
    Pipeline p;
    const float host[kFloats] = {};
    CHECK_THROWS_WITH_AS(LQF_LAUNCH(double_of_kernel, dim3(1), dim3(kFloats), 0, p.compute, Operands{7, host, p.y}),
                         doctest::Contains("an address of the host's memory"), std::runtime_error);
    const std::vector<float> heap(kFloats);
    CHECK_THROWS(LQF_LAUNCH(double_of_kernel, dim3(1), dim3(kFloats), 0, p.compute, Operands{7, heap.data(), p.y}));
    CHECK_NOTHROW(LQF_LAUNCH(double_of_kernel, dim3(1), dim3(kFloats), 0, p.compute, Operands{7, p.x, p.y}));
    CHECK_THROWS_WITH_AS(LQF_LAUNCH(double_kernel, dim3(1), dim3(kFloats), 0, p.compute, host, p.y),
                         doctest::Contains("points to no memory of the device"), std::runtime_error);
    float* gone = p.y;
    CUDA_CHECK(cudaFree(p.y));
    p.y = nullptr;
    CHECK_THROWS(LQF_LAUNCH(double_kernel, dim3(1), dim3(kFloats), 0, p.compute, p.x, gone));
}

TEST_CASE("only pinned memory is copied beside the host's work") {
    Pipeline p;
    float pageable[kFloats] = {};
    CHECK_THROWS_WITH(cudaMemcpyAsync(p.x, pageable, kBytes, cudaMemcpyHostToDevice, p.up),
                      "cudaMemcpyAsync: the 128 bytes on the host are not pinned");
    CHECK_THROWS(cudaMemcpyAsync(p.outbox + 1, p.x, kBatches * kBytes, cudaMemcpyDeviceToHost, p.down));
    CHECK_THROWS(cudaMemcpyAsync(p.x, p.staging, 2 * kBytes, cudaMemcpyHostToDevice, p.up));
}

}  // namespace lqf::gpu
