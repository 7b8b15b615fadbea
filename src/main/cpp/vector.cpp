#include <cmath>

#include "engine.h"

using namespace lqf;

namespace {

// Runs body on a vector with its engine locked.
int32_t with(lqf_vector* vector, const std::function<void(const Ops&, Threads&)>& body) {
    return guard([&] {
        LQF_CHECK(vector, "vector is null");
        const Session session(*vector->engine);
        body(vector->engine->ops, vector->engine->threads);
    });
}

void check_range(const lqf_vector* vector, int64_t offset, const void* host, int64_t count) {
    LQF_CHECK(host || count == 0, "host array is null");
    LQF_CHECK(offset >= 0 && count >= 0 && count <= vector->length && offset <= vector->length - count,
              "entries [%lld, %lld) of a vector of %lld", (long long)offset, (long long)(offset + count),
              (long long)vector->length);
}

void check_same_length(const lqf_vector* vector, const lqf_vector* other) {
    check_vector(other, vector->engine.get(), 0, "vector");
    LQF_CHECK(other->length == vector->length, "vectors of %lld and %lld entries", (long long)vector->length,
              (long long)other->length);
}

}  // namespace

int32_t lqf_vector_create(lqf_engine* engine, int64_t length, lqf_vector** out) {
    return guard([&] {
        LQF_CHECK(engine && out, "engine or out is null");
        LQF_CHECK(length >= 0 && length < (int64_t(1) << 46), "length is %lld", (long long)length);
        const auto& e = engine->engine;
        const Session session(*e);
        Memory memory(*e, size_t(length) * sizeof(float), "a vector");
        e->ops.fill(e->threads, length, 0.0f, memory.as<float>());
        *out = new lqf_vector{e, length, std::move(memory)};
    });
}

int32_t lqf_vector_borrow(lqf_engine* engine, int64_t address, int64_t length, lqf_vector** out) {
    return guard([&] {
        LQF_CHECK(engine && out, "engine or out is null");
        LQF_CHECK(length >= 1 && length < (int64_t(1) << 46), "length is %lld", (long long)length);
        const auto& e = engine->engine;
        LQF_CHECK(e->queue, "device %s computes in the host's memory and has no device buffers; give it arrays",
                  e->ops.name);
        void* data = reinterpret_cast<void*>(address);
        const size_t bytes = size_t(length) * sizeof(float);
        e->queue->check(data, bytes, "the buffer");
        *out = new lqf_vector{e, length, Memory::borrowed(data, bytes), next_revision(), true};
    });
}

int32_t lqf_vector_address(lqf_vector* vector, int64_t* address) {
    return with(vector, [&](const Ops& ops, Threads&) {
        LQF_CHECK(address, "address is null");
        LQF_CHECK(vector->engine->queue, "device %s computes in the host's memory; read the vector", ops.name);
        vector->shared = true;
        *address = reinterpret_cast<int64_t>(vector->data());
    });
}

int32_t lqf_vector_destroy(lqf_vector* vector) {
    return guard([&] {
        if (!vector) return;
        const std::shared_ptr<Engine> engine = vector->engine;  // outlives the session
        const Session session(*engine);
        if (vector->shared) engine->queue->synchronise();  // its memory may be the caller's, who will free it
        delete vector;
    });
}

int32_t lqf_vector_write(lqf_vector* vector, int64_t offset, const float* source, int64_t count) {
    return with(vector, [&](const Ops& ops, Threads&) {
        check_range(vector, offset, source, count);
        if (count > 0) ops.copy_in(vector->writable() + offset, source, size_t(count) * sizeof(float));
    });
}

int32_t lqf_vector_read(lqf_vector* vector, int64_t offset, float* target, int64_t count) {
    return with(vector, [&](const Ops& ops, Threads&) {
        check_range(vector, offset, target, count);
        if (count > 0) ops.copy_out(target, vector->data() + offset, size_t(count) * sizeof(float));
    });
}

int32_t lqf_vector_fill(lqf_vector* vector, float value) {
    return with(vector, [&](const Ops& ops, Threads& threads) {
        ops.fill(threads, vector->length, value, vector->writable());
    });
}

int32_t lqf_vector_set(lqf_vector* vector, lqf_vector* source) {
    return with(vector, [&](const Ops& ops, Threads& threads) {
        check_same_length(vector, source);
        if (source != vector) ops.copy(threads, vector->length, source->data(), vector->writable());
    });
}

int32_t lqf_vector_scale(lqf_vector* vector, float factor) {
    return with(vector, [&](const Ops& ops, Threads& threads) {
        ops.scale(threads, vector->length, factor, vector->writable());
    });
}

int32_t lqf_vector_add(lqf_vector* vector, float factor, lqf_vector* x) {
    return with(vector, [&](const Ops& ops, Threads& threads) {
        check_same_length(vector, x);
        ops.axpy(threads, vector->length, factor, x->data(), vector->writable());
    });
}

int32_t lqf_vector_dot(lqf_vector* a, lqf_vector* b, double* result) {
    return with(a, [&](const Ops& ops, Threads& threads) {
        LQF_CHECK(result, "result is null");
        check_same_length(a, b);
        *result = ops.dot(threads, a->length, a->data(), b->data());
    });
}
