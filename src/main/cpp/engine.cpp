#include "engine.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

namespace lqf {

namespace {
thread_local std::string last_error;

int32_t fail(int32_t status, const char* text) {
    last_error = text;
    return status;
}
}  // namespace

std::string format(const char* pattern, ...) {
    va_list arguments, again;
    va_start(arguments, pattern);
    va_copy(again, arguments);
    int length = std::vsnprintf(nullptr, 0, pattern, arguments);
    std::vector<char> text(size_t(std::max(length, 0)) + 1);
    std::vsnprintf(text.data(), text.size(), pattern, again);
    va_end(again);
    va_end(arguments);
    return text.data();
}

int32_t guard(const std::function<void()>& body) {
    try {
        body();
        return LQF_OK;
    } catch (const Error& error) {
        return fail(error.status, error.what());
    } catch (const std::bad_alloc&) {
        return fail(LQF_OUT_OF_MEMORY, "out of host memory; use a smaller batch or a smaller memory budget");
    } catch (const std::exception& error) {
        return fail(LQF_INTERNAL, error.what());
    } catch (...) {
        return fail(LQF_INTERNAL, "unknown native exception");
    }
}

int64_t next_revision() {
    static std::atomic<int64_t> last{0};
    return ++last;
}

Engine::Engine(const Ops& ops, int threads, int winograd, void* const* stream)
    : ops(ops), threads(threads), queue(ops.open_queue ? ops.open_queue(stream) : nullptr), winograd(winograd) {}

Engine::~Engine() {
    const Session session(*this);
    scratch = Memory();
}

Memory::Memory(Engine& engine, size_t bytes, const char* purpose) {
    if (bytes == 0) return;
    data_ = engine.ops.allocate(bytes);
    if (!data_) {
        std::string text = format("no memory for %s: %.1f MB asked for", purpose, double(bytes) / 1e6);
        if (engine.ops.memory) {
            size_t free = 0, all = 0;
            engine.ops.memory(&free, &all);
            text += format(", %.1f MB free of %.1f MB", double(free) / 1e6, double(all) / 1e6);
        }
        text += format(", %.1f MB already held by this engine; use a smaller batch", double(engine.bytes) / 1e6);
        throw Error(LQF_OUT_OF_MEMORY, text);
    }
    engine_ = &engine;
    bytes_ = bytes;
    engine.bytes += int64_t(bytes);
}

Memory Memory::borrowed(void* data, size_t bytes) {
    Memory memory;
    memory.data_ = data;
    memory.bytes_ = bytes;
    return memory;
}

Memory::~Memory() {
    if (!engine_) return;
    engine_->ops.release(data_);
    engine_->bytes -= int64_t(bytes_);
}

Memory& Memory::operator=(Memory&& other) noexcept {
    std::swap(engine_, other.engine_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

void check_vector(const lqf_vector* vector, const Engine* engine, int64_t length, const char* name) {
    LQF_CHECK(vector, "%s is null", name);
    LQF_CHECK(vector->engine.get() == engine, "%s belongs to another engine; create it on the engine it is used with",
              name);
    LQF_CHECK(vector->length >= length, "%s has %lld entries, needed are %lld", name, (long long)vector->length,
              (long long)length);
}

void copy_text(const std::string& text, char* target, int64_t capacity) {
    LQF_CHECK(target && capacity > 0, "no room for the text");
    size_t length = std::min(text.size(), size_t(capacity - 1));
    std::memcpy(target, text.data(), length);
    target[length] = 0;
}

}  // namespace lqf

using namespace lqf;

int32_t lqf_abi_version(void) { return LQF_ABI_VERSION; }

const char* lqf_last_error(void) { return last_error.c_str(); }

namespace {

const char* precision_name(int precision) {
    static const char* const names[] = {"fp32", "tf32", "bf16"};
    return names[precision];
}

const Ops& ops_of(const char* device) {
    LQF_CHECK(device, "device is null");
    if (std::strcmp(device, "cpu") == 0) return cpu_ops();
    if (std::strcmp(device, "reference") == 0) return reference_ops();
    LQF_CHECK(std::strcmp(device, "cuda") == 0 || std::strcmp(device, "emulator") == 0,
              "unknown device \"%s\", expected cuda, cpu, emulator or reference", device);
    return library_ops(device);
}

}  // namespace

int32_t lqf_device_check(const char* device) {
    return guard([&] { ops_of(device); });
}

namespace {

int32_t open(const char* device, void* const* stream, int32_t threads, int32_t winograd, lqf_engine** out) {
    return guard([&] {
        LQF_CHECK(out, "out is null");
        LQF_CHECK(threads >= 1 && threads <= 1024, "threads is %d, expected 1 to 1024", threads);
        LQF_CHECK(winograd == 0 || winograd == 2 || winograd == 4, "winograd is %d, expected 0, 2 or 4", winograd);
        const Ops& ops = ops_of(device);
        LQF_CHECK(!stream || ops.open_queue, "device %s has no streams; open it without one", device);
        *out = new lqf_engine{std::make_shared<Engine>(ops, threads, winograd, stream)};
    });
}

}  // namespace

int32_t lqf_engine_open(const char* device, int32_t threads, int32_t winograd, lqf_engine** out) {
    return open(device, nullptr, threads, winograd, out);
}

int32_t lqf_engine_open_on(const char* device, int64_t stream, int32_t threads, int32_t winograd, lqf_engine** out) {
    void* const given = reinterpret_cast<void*>(stream);
    return open(device, &given, threads, winograd, out);
}

int32_t lqf_engine_stream(lqf_engine* engine, int64_t* stream) {
    return guard([&] {
        LQF_CHECK(engine && stream, "engine or stream is null");
        const Engine& e = *engine->engine;
        LQF_CHECK(e.queue, "device %s has no streams", e.ops.name);
        *stream = reinterpret_cast<int64_t>(e.queue->stream());
    });
}

int32_t lqf_engine_synchronise(lqf_engine* engine) {
    return guard([&] {
        LQF_CHECK(engine, "engine is null");
        const Session session(*engine->engine);
        if (engine->engine->queue) engine->engine->queue->synchronise();
    });
}

int32_t lqf_engine_set_precision(lqf_engine* engine, int32_t precision) {
    return guard([&] {
        LQF_CHECK(engine, "engine is null");
        LQF_CHECK(precision >= LQF_FP32 && precision <= LQF_BF16, "unknown precision %d", precision);
        Engine& e = *engine->engine;
        if (!(e.ops.precisions >> precision & 1))
            throw Error(
                LQF_UNAVAILABLE,
                format("device %s computes in fp32, not in %s: that takes tensor cores, of CUDA devices of compute "
                       "capability 8.0 or newer",
                       e.ops.name, precision_name(precision)));
        const Session session(e);
        e.precision = precision;
    });
}

int32_t lqf_engine_close(lqf_engine* engine) {
    return guard([&] { delete engine; });
}

int32_t lqf_engine_describe(lqf_engine* engine, char* text, int64_t capacity) {
    return guard([&] {
        LQF_CHECK(engine, "engine is null");
        const Engine& e = *engine->engine;
        const char* winograd = e.winograd == 0 ? ", no Winograd" : e.winograd == 4 ? ", Winograd F(4,3)" : "";
        const std::string precision =
            e.precision == LQF_FP32 ? "" : std::string(", convolutions in ") + precision_name(e.precision);
        copy_text(format("%s: %s%s%s, %d thread%s", e.ops.name, e.ops.describe(), winograd, precision.c_str(),
                         e.threads.count(), e.threads.count() == 1 ? "" : "s"),
                  text, capacity);
    });
}

int32_t lqf_engine_memory(lqf_engine* engine, int64_t* bytes) {
    return guard([&] {
        LQF_CHECK(engine && bytes, "engine or bytes is null");
        const Engine& e = *engine->engine;
        *bytes = e.bytes + int64_t(e.threads.scratch_bytes()) + (e.queue ? e.queue->bytes() : 0);
    });
}
