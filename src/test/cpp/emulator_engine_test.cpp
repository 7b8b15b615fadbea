// The engine on the device kernels, run by the emulator: an order that no kernel may lean on, and the end of its memory.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "cpu_testing.h"
#include "engine.h"

extern "C" int32_t lqf_device_ops(int32_t version, uint64_t ops_bytes, const lqf::Ops** ops, char* text,
                                  int64_t capacity);

namespace lqf::testing {
namespace {

#define OK(call) REQUIRE_MESSAGE((call) == LQF_OK, std::string(lqf_last_error()))

// A variable of the environment, which the emulator reads at each call, for the length of a scope.
class Setting {
public:
    Setting(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
    ~Setting() { unsetenv(name_); }
    Setting(const Setting&) = delete;

private:
    const char* name_;
};

const Ops& emulator_ops() {
    const Ops* ops = nullptr;
    char text[512] = "";
    REQUIRE_MESSAGE(lqf_device_ops(kOpsVersion, sizeof(Ops), &ops, text, sizeof text) == LQF_OK, text);
    return *ops;
}

constexpr int kImages = 3, kImage = 3 * 9 * 7, kClasses = 4;

// conv2d 3x3 - leaky ReLU - max pool - conv2d 3x3 stride 2 - mean - linear, odd in every dimension.
struct Network {
    std::vector<lqf_node> nodes;
    int64_t parameters = 0;

    lqf_node& add(int op, int kernel, int stride, int padding) {
        lqf_node n{};
        n.unit = 1;
        n.op = op, n.input0 = int(nodes.size()) - 1, n.input1 = -1, n.linearised = 1;
        n.kernel_h = n.kernel_w = kernel, n.stride = stride, n.padding = padding;
        nodes.push_back(n);
        return nodes.back();
    }
    void add_weights(int op, int ic, int oc, int kernel, int stride, int padding) {
        lqf_node& n = add(op, kernel, stride, padding);
        n.out_channels = oc;
        n.weight_offset = parameters;
        n.bias_offset = parameters += int64_t(oc) * ic * kernel * kernel;
        parameters += oc;
    }
    Network() {
        add_weights(LQF_CONV2D, 3, 5, 3, 1, 1);
        add(LQF_LEAKY_RELU, 1, 1, 0).slope = 0.2f;
        add(LQF_MAX_POOL, 3, 2, 1);
        add_weights(LQF_CONV2D, 5, 7, 3, 2, 1);
        add(LQF_GLOBAL_AVG_POOL, 1, 1, 0);
        add_weights(LQF_LINEAR, 7, kClasses, 1, 1, 0);
    }
};

struct EmulatedEngine {
    lqf_engine engine{std::make_shared<Engine>(emulator_ops(), 1, 2)};
    Network network;

    lqf_vector* vector(const Floats& values) {
        lqf_vector* v = nullptr;
        OK(lqf_vector_create(&engine, int64_t(values.size()), &v));
        OK(lqf_vector_write(v, 0, values.data(), int64_t(values.size())));
        return v;
    }
    static Floats take(lqf_vector* v) {
        Floats values(size_t(v->length));
        OK(lqf_vector_read(v, 0, values.data(), v->length));
        OK(lqf_vector_destroy(v));
        return values;
    }
    Queue::Counts counts() { return engine.engine->queue->counts(); }
    int32_t compile(lqf_vector* w0, int max_batch, lqf_plan** plan) {
        return lqf_plan_compile(&engine, network.nodes.data(), int(network.nodes.size()), "a\nb\nc\nd\ne\nf\n", 3, 9, 7,
                                w0, max_batch, plan);
    }
    int64_t bytes() {
        int64_t bytes = 0;
        OK(lqf_engine_memory(&engine, &bytes));
        return bytes;
    }

    // Outputs, jvp, vjp, a preconditioned step and a solved Gram system, one after the other.
    Floats results() {
        const auto parameters = size_t(network.parameters);
        lqf_vector *w0 = vector(normals(parameters, 1)), *delta = vector(normals(parameters, 2)),
                   *out = vector(Floats(kImages * kClasses)), *gradient = vector(Floats(parameters)),
                   *rows = vector(Floats(kImages * kClasses * parameters));
        lqf_plan* plan = nullptr;
        OK(compile(w0, kImages, &plan));
        Floats all;
        auto keep = [&](lqf_vector* v) {
            const Floats values = take(v);
            all.insert(all.end(), values.begin(), values.end());
        };
        OK(lqf_plan_forward(plan, normals(kImages * kImage, 3).data(), kImages));
        OK(lqf_plan_outputs(plan, out));
        OK(lqf_plan_vjp(plan, out, gradient));
        keep(out);
        out = vector(Floats(kImages * kClasses));
        OK(lqf_plan_jvp(plan, delta, out));
        keep(out);
        OK(lqf_plan_jacobian(plan, rows, 0, 0, network.parameters, kClasses));
        lqf_factors* factors = nullptr;
        OK(lqf_factors_create(plan, LQF_EXPAND, &factors));
        OK(lqf_factors_accumulate(factors, plan, 0, 0));
        OK(lqf_factors_invert(factors, 0.1, LQF_DAMPING_EXACT));
        OK(lqf_factors_precondition(factors, gradient, delta));
        OK(lqf_factors_destroy(factors));
        lqf_matrix* gram = nullptr;
        std::vector<double> x(kImages * kClasses, 1);
        OK(lqf_matrix_create(&engine, kImages * kClasses, &gram));
        OK(lqf_matrix_gram(gram, 0, rows, kImages * kClasses, 0, rows, kImages * kClasses, network.parameters, 0));
        OK(lqf_matrix_cholesky(gram, 1));
        OK(lqf_matrix_solve(gram, x.data(), 1));
        OK(lqf_matrix_destroy(gram));
        all.insert(all.end(), x.begin(), x.end());
        for (lqf_vector* v : {gradient, delta, rows}) keep(v);
        OK(lqf_plan_destroy(plan));
        OK(lqf_vector_destroy(w0));
        return all;
    }
};

}  // namespace

TEST_CASE("the bits do not depend on the order of threads, the arrival of copies or the time of launches") {
    const Floats expected = EmulatedEngine().results();
    for (const float value : expected) REQUIRE(std::isfinite(value));
    for (const char* order : {"forward", "reversed", "random"})
        for (const char* copies : {"late", "early"})
            for (const char* streams : {"now", "late", "copies-first", "kernels-first", "random"}) {
                CAPTURE(order);
                CAPTURE(copies);
                CAPTURE(streams);
                const Setting a("LQF_EMULATOR_ORDER", order), b("LQF_EMULATOR_COPIES", copies),
                    c("LQF_EMULATOR_STREAMS", streams);
                CHECK(same_bits(EmulatedEngine().results(), expected));
            }
}

TEST_CASE("on tensor cores the bits do not depend on the order of threads or the arrival of copies") {
    for (const int precision : {LQF_TF32, LQF_BF16}) {
        CAPTURE(precision);
        auto results = [&] {
            EmulatedEngine e;
            OK(lqf_engine_set_precision(&e.engine, precision));
            return e.results();
        };
        const Floats expected = results();
        CHECK(!same_bits(expected, EmulatedEngine().results()));
        for (const char* order : {"forward", "reversed", "random"})
            for (const char* copies : {"late", "early"}) {
                CAPTURE(order);
                CAPTURE(copies);
                const Setting a("LQF_EMULATOR_ORDER", order), b("LQF_EMULATOR_COPIES", copies);
                CHECK(same_bits(results(), expected));
            }
    }
}

TEST_CASE("without memory on the device an error says how much there is, and the engine goes on") {
    EmulatedEngine e;
    const Floats expected = e.results();
    lqf_vector* w0 = e.vector(normals(size_t(e.network.parameters), 1));
    const int64_t before = e.bytes();
    {
        const Setting memory("LQF_EMULATOR_MEMORY", "16000000");
        lqf_vector* large = nullptr;
        CHECK(lqf_vector_create(&e.engine, 5000000, &large) == LQF_OUT_OF_MEMORY);
        const std::string text = lqf_last_error();
        CAPTURE(text);
        CHECK(text.find("no memory for a vector: 20.0 MB asked for, ") == 0);
        CHECK(text.find(" MB free of 16.0 MB, ") != std::string::npos);
        lqf_plan* plan = nullptr;
        CHECK_MESSAGE(e.compile(w0, 4096, &plan) == LQF_OUT_OF_MEMORY, std::string(lqf_last_error()));
        CHECK(e.bytes() == before);  // what had been allocated for the plan is given back
    }
    OK(lqf_vector_destroy(w0));
    CHECK(same_bits(e.results(), expected));
}

TEST_CASE("an op without memory for its scratch says so, and the next one runs") {
    const Ops& ops = emulator_ops();
    Threads threads(1);
    Conv2d c{};
    c.n = c.oc = 5000, c.oh = c.ow = 1;
    float* x = static_cast<float*>(ops.allocate(8 * sizeof(float)));
    {
        const Setting memory("LQF_EMULATOR_MEMORY", "1000000");
        std::string text;
        try {
            ops.kron_output(threads, c, x, true, nullptr, 0);
        } catch (const Error& error) {
            CHECK(error.status == LQF_OUT_OF_MEMORY);
            text = error.what();
        }
        CAPTURE(text);
        CHECK(text.find("no memory for the scratch of an op: 100.0 MB asked for, ") == 0);
        CHECK(text.find(" MB free of 1.0 MB; use a smaller batch") != std::string::npos);
    }
    const float pixel = 3;
    ops.copy_in(x + 4, &pixel, sizeof pixel);
    ops.import_images(threads, 1, 1, 1, 1, x + 4, x);
    Floats block(4);
    ops.copy_out(block.data(), x, 4 * sizeof(float));
    CHECK(block == Floats{3, 0, 0, 0});
    ops.release(x);
}

namespace {

constexpr int kMany = 70;  // images: two micro-batches

// What a service and a solver do with one plan: batches that follow each other, the verbs again and again, in vectors that stay.
struct Loop {
    EmulatedEngine e;
    const size_t parameters = size_t(e.network.parameters);
    lqf_vector *w0 = e.vector(normals(parameters, 1)), *delta = e.vector(normals(parameters, 2)),
               *out = e.vector(Floats(kMany * kClasses)), *gradient = e.vector(Floats(parameters)),
               *step = e.vector(Floats(parameters)), *rows = e.vector(Floats(kMany * kClasses * parameters)),
               *there = e.vector(normals(kMany * kImage, 5));
    lqf_plan* plan = nullptr;
    lqf_factors *factors = nullptr, *growing = nullptr;  // inverted once; never
    const Floats a = normals(kMany * kImage, 3), b = normals(kMany * kImage, 4);
    Floats scores = Floats(kMany * kClasses);
    std::vector<float> all;

    Loop() {
        OK(e.compile(w0, kMany, &plan));
        OK(lqf_factors_create(plan, LQF_EXPAND, &factors));
        OK(lqf_factors_create(plan, LQF_EXPAND, &growing));
        OK(lqf_plan_forward(plan, a.data(), kImages));
        OK(lqf_factors_accumulate(factors, plan, 1, 0));
        OK(lqf_factors_invert(factors, 0.1, LQF_DAMPING_FACTORED));
    }
    ~Loop() {
        lqf_plan_destroy(plan);
        for (lqf_factors* f : {factors, growing}) lqf_factors_destroy(f);
        for (lqf_vector* v : {w0, delta, out, gradient, step, rows, there}) lqf_vector_destroy(v);
    }
    Loop(const Loop&) = delete;

    void forward(const Floats& images, int n) {
        Floats copy = images;
        OK(lqf_plan_forward(plan, copy.data(), n));
        std::fill(copy.begin(), copy.end(), -7.0f);  // the caller's again
    }
    void verbs() {
        OK(lqf_plan_jvp(plan, delta, out));
        OK(lqf_plan_vjp(plan, out, gradient));
        OK(lqf_factors_precondition(factors, gradient, step));
        OK(lqf_vector_add(delta, -0.01f, step));
    }
    void accumulate(lqf_plan* from) {
        OK(lqf_factors_accumulate(growing, from, 0, 0));
        OK(lqf_factors_accumulate(growing, from, 2, 7));
    }
    void predict(const Floats& images) {
        OK(lqf_plan_predict(plan, delta, images.data(), kMany, scores.data()));
        all.insert(all.end(), scores.begin(), scores.end());
    }
    void forward_jvp(const Floats& images) {
        OK(lqf_vector_add(delta, -0.01f, step));
        OK(lqf_plan_forward_jvp(plan, images.data(), kMany, delta, out));
        const Floats change = read(out);
        all.insert(all.end(), change.begin(), change.end());
    }
    void round() {
        for (const Floats* images : {&a, &b}) {
            forward(*images, kMany);
            verbs();
        }
        OK(lqf_plan_jacobian(plan, rows, 0, 0, e.network.parameters, kClasses));
        accumulate(plan);
        predict(b);  // forward_jvp packs delta, in both buffers in which images arrive
        forward_jvp(b);
        forward_jvp(a);
        predict(a);
    }
    Floats read(lqf_vector* v) {
        Floats values(size_t(v->length));
        OK(lqf_vector_read(v, 0, values.data(), v->length));
        return values;
    }
    Floats results(int rounds) {
        for (int i = 0; i < rounds; i++) round();
        for (lqf_vector* v : {gradient, delta, rows}) {
            const Floats values = read(v);
            all.insert(all.end(), values.begin(), values.end());
        }
        const Floats sums = grown();
        all.insert(all.end(), sums.begin(), sums.end());
        return all;
    }
    // The factors of all layers, a double as two floats.
    Floats grown() {
        Floats halves;
        int32_t layers = 0;
        OK(lqf_factors_layers(growing, &layers));
        for (int32_t i = 0; i < layers; i++) {
            int32_t input = 0, output = 0;
            OK(lqf_factors_sides(growing, i, &input, &output));
            std::vector<double> sums(size_t(input * input + output * output));
            OK(lqf_factors_read(growing, i, sums.data(), sums.data() + input * input));
            for (const double sum : sums) {
                halves.push_back(float(sum));
                halves.push_back(float(sum - double(halves.back())));
            }
        }
        return halves;
    }
};

}  // namespace

// Thousands of launches take minutes under a sanitizer, which sees nothing there that fewer do not show.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSlow = true;
#else
constexpr bool kSlow = false;
#endif

TEST_CASE("graphs and copies beside the computing change no bit") {
    Floats expected;
    {
        const Setting refused("LQF_EMULATOR_CAPTURE", "refused");
        Loop loop;
        const int64_t graphs = loop.e.counts().graphs;
        expected = loop.results(3);
        if (emulator_ops().name == std::string("emulator")) CHECK(loop.e.counts().graphs == graphs);
    }
    for (const float value : expected) REQUIRE(std::isfinite(value));
    for (const char* streams : {"now", "late", "copies-first", "kernels-first", "random"}) {
        if (kSlow && streams != std::string("random")) continue;
        CAPTURE(streams);
        const Setting setting("LQF_EMULATOR_STREAMS", streams);
        Loop loop;
        const int64_t graphs = loop.e.counts().graphs;
        CHECK(same_bits(loop.results(3), expected));
        CHECK(loop.e.counts().graphs == graphs + 3 * 15);
    }
}

TEST_CASE("what was done before is replayed: no launch from the host and no allocation") {
    Loop loop;
    auto calls = [&] {
        for (int i = 0; i < 2; i++) {  // for both buffers in which images arrive
            loop.forward(loop.a, kMany);
            OK(lqf_plan_jvp(loop.plan, loop.delta, loop.out));
            OK(lqf_plan_vjp(loop.plan, loop.out, loop.gradient));
            OK(lqf_factors_precondition(loop.factors, loop.gradient, loop.step));
            OK(lqf_plan_jacobian(loop.plan, loop.rows, 0, 0, loop.e.network.parameters, kClasses));
            loop.accumulate(loop.plan);
        }
        for (int i = 0; i < 2; i++) {
            OK(lqf_plan_predict(loop.plan, loop.delta, loop.b.data(), kMany, loop.scores.data()));
            OK(lqf_plan_forward_jvp(loop.plan, loop.b.data(), kMany, loop.delta, loop.out));
            OK(lqf_plan_forward_jvp_vector(loop.plan, loop.there, kMany, loop.delta, loop.out));
        }
    };
    calls();
    const Queue::Counts before = loop.e.counts();
    const int64_t bytes = loop.e.bytes();
    calls();
    const Queue::Counts after = loop.e.counts();
    CHECK(after.launches == before.launches);
    CHECK(after.allocations == before.allocations);
    CHECK(after.graphs == before.graphs + 20);
    CHECK(loop.e.bytes() == bytes);
}

namespace {

// conv2d 1x1 - mean - linear on images of one pixel: as many walks as asked for are soon done.
struct Pixel {
    static constexpr int kChannels = 2;
    EmulatedEngine e;
    lqf_vector* w0 = nullptr;
    lqf_plan* plan = nullptr;

    Pixel(int classes, int n, bool linear_moves) {
        e.network = {};
        e.network.nodes.clear(), e.network.parameters = 0;
        e.network.add_weights(LQF_CONV2D, kChannels, 3, 1, 1, 0);
        e.network.add(LQF_GLOBAL_AVG_POOL, 1, 1, 0);
        e.network.add_weights(LQF_LINEAR, 3, classes, 1, 1, 0);
        e.network.nodes.back().linearised = linear_moves;
        w0 = e.vector(normals(size_t(e.network.parameters), 1));
        OK(lqf_plan_compile(&e.engine, e.network.nodes.data(), int(e.network.nodes.size()), "a\nb\nc\n", kChannels, 1,
                            1, w0, n, &plan));
        OK(lqf_plan_forward(plan, normals(size_t(n * kChannels), 2).data(), n));
    }
    ~Pixel() {
        lqf_plan_destroy(plan);
        lqf_vector_destroy(w0);
    }
    Pixel(const Pixel&) = delete;
};

// What `call` adds to the counts.
Queue::Counts asked(EmulatedEngine& e, const std::function<void()>& call) {
    const Queue::Counts before = e.counts();
    call();
    const Queue::Counts after = e.counts();
    return {after.launches - before.launches, after.graphs - before.graphs, after.allocations - before.allocations};
}

}  // namespace

TEST_CASE("a Jacobian of more walks than a graph holds is several graphs" * doctest::skip(kSlow)) {
    constexpr int kRows = 520;  // walks, one image
    auto rows = [](bool replayed) {
        Pixel p(kRows, 1, false);
        lqf_vector* rows = p.e.vector(Floats(size_t(kRows * p.e.network.parameters), NAN));
        auto jacobian = [&] { OK(lqf_plan_jacobian(p.plan, rows, 0, 0, p.e.network.parameters, kRows)); };
        jacobian();
        const Queue::Counts again = asked(p.e, jacobian);
        CHECK(again.graphs == (replayed ? 2 : 0));
        CHECK((again.launches == 0) == replayed);
        return EmulatedEngine::take(rows);
    };
    Floats expected;
    {
        const Setting refused("LQF_EMULATOR_CAPTURE", "refused");
        expected = rows(false);
    }
    for (const char* streams : {"late", "random"}) {
        CAPTURE(streams);
        const Setting setting("LQF_EMULATOR_STREAMS", streams);
        CHECK(same_bits(rows(true), expected));
    }
}

TEST_CASE("factors of more walks than a graph holds replay one walk of each group of images" * doctest::skip(kSlow)) {
    constexpr int kProbes = 260, kGroups = 2;
    auto sums = [](bool replayed) {
        Pixel p(kClasses, kMany, true);
        lqf_factors* factors = nullptr;
        OK(lqf_factors_create(p.plan, LQF_EXPAND, &factors));
        const Queue::Counts counts = asked(p.e, [&] { OK(lqf_factors_accumulate(factors, p.plan, kProbes, 7)); });
        CHECK(counts.graphs == (replayed ? kGroups * kProbes : 0));
        CHECK((counts.launches < 60) == replayed);     // what is done or captured once a group
        constexpr int kInput = 4, kOutput = kClasses;  // of the linear layer
        std::vector<double> sums(kInput * kInput + kOutput * kOutput);
        OK(lqf_factors_read(factors, 1, sums.data(), sums.data() + kInput * kInput));
        OK(lqf_factors_destroy(factors));
        return sums;
    };
    std::vector<double> expected;
    {
        const Setting refused("LQF_EMULATOR_CAPTURE", "refused");
        expected = sums(false);
    }
    for (const char* streams : {"late", "random"}) {
        CAPTURE(streams);
        const Setting setting("LQF_EMULATOR_STREAMS", streams);
        CHECK(sums(true) == expected);
    }
}

TEST_CASE("another address, batch, scratch or set of parameters is no replay of the old one") {
    Loop loop, fresh;
    loop.round();
    Engine& engine = *loop.e.engine.engine;
    const Floats other = normals(loop.parameters, 9);
    auto results = [&](Loop& l, lqf_vector* out, int n) {
        l.forward(l.b, n);
        OK(lqf_plan_jvp(l.plan, l.delta, out));
        return l.read(out);
    };
    for (Loop* l : {&loop, &fresh}) OK(lqf_vector_write(l->delta, 0, other.data(), int64_t(other.size())));
    lqf_vector *out = loop.e.vector(Floats(kMany * kClasses)), *same = fresh.e.vector(Floats(kMany * kClasses));
    CHECK(same_bits(results(loop, out, kMany), results(fresh, same, kMany)));
    CHECK(same_bits(results(loop, out, 5), results(fresh, same, 5)));
    for (Loop* l : {&loop, &fresh}) {
        OK(lqf_vector_write(l->w0, 0, other.data(), int64_t(other.size())));
        OK(lqf_plan_set_parameters(l->plan, l->w0));
    }
    CHECK(same_bits(results(loop, out, 5), results(fresh, same, 5)));
    const void* scratch = engine.scratch.as<void>();
    lqf_plan* larger = nullptr;
    OK(lqf_plan_compile(&loop.e.engine, loop.e.network.nodes.data(), int(loop.e.network.nodes.size()),
                        "a\nb\nc\nd\ne\nf\n", 3, 90, 70, loop.w0, 64, &larger));
    REQUIRE(engine.scratch.as<void>() != scratch);
    CHECK(same_bits(results(loop, out, 5), results(fresh, same, 5)));
    OK(lqf_plan_destroy(larger));
    OK(lqf_vector_destroy(out));
    OK(lqf_vector_destroy(same));
}

TEST_CASE("factors of another plan, batch or number of probes are no replay of the old ones") {
    auto grown = [] {
        Loop loop;
        auto accumulate = [&](lqf_plan* plan, int n) {
            OK(lqf_plan_forward(plan, loop.b.data(), n));
            loop.accumulate(plan);
            OK(lqf_factors_accumulate(loop.growing, plan, 3, 7));
        };
        for (const int n : {kMany, 5, kMany}) accumulate(loop.plan, n);
        for (const int seed : {1, 2}) {  // the second plan may have the addresses of the first
            lqf_vector* w0 = loop.e.vector(normals(loop.parameters, uint64_t(seed)));
            lqf_plan* plan = nullptr;
            OK(loop.e.compile(w0, 6 + seed, &plan));
            for (int i = 0; i < 2; i++) accumulate(plan, 5);
            OK(lqf_plan_destroy(plan));
            OK(lqf_vector_destroy(w0));
        }
        return loop.grown();
    };
    Floats expected;
    {
        const Setting refused("LQF_EMULATOR_CAPTURE", "refused");
        expected = grown();
    }
    CHECK(same_bits(grown(), expected));
}

TEST_CASE("a graph without room is done without") {
    auto results = [] {
        Loop loop;
        const int64_t graphs = loop.e.counts().graphs;
        const Floats all = loop.results(1);
        return std::pair(all, loop.e.counts().graphs - graphs);
    };
    const auto [expected, graphs] = results();
    CHECK(graphs > 0);
    const Setting none("LQF_EMULATOR_CAPTURE", "no-memory");
    const auto [all, none_replayed] = results();
    CHECK(same_bits(all, expected));
    CHECK(none_replayed == 0);
}

TEST_CASE("a copy waits where all pinned memory is on its way") {
    const Setting streams("LQF_EMULATOR_STREAMS", "late");
    EmulatedEngine e;
    constexpr int kCopies = 20;
    std::vector<lqf_vector*> vectors;
    for (int i = 0; i < kCopies; i++) vectors.push_back(e.vector(Floats(3, float(i))));
    for (int i = 0; i < kCopies; i++) CHECK(EmulatedEngine::take(vectors[size_t(i)]) == Floats(3, float(i)));
}

TEST_CASE("the engine's memory counts what its queue holds") {
    EmulatedEngine e;
    const int64_t before = e.bytes();
    lqf_vector* v = e.vector(Floats(1 << 20));
    const int64_t vector = int64_t(sizeof(float)) << 20, copies = e.bytes() - before - vector;
    CHECK(copies == int64_t(2 * (2 << 20)));  // pinned chunks of 2 MB: 4 MB were written
    double dot = 0;
    OK(lqf_vector_dot(v, v, &dot));
    CHECK(e.bytes() > before + vector + copies);  // scratch of the partial sums
    OK(lqf_vector_destroy(v));
}

}  // namespace lqf::testing
