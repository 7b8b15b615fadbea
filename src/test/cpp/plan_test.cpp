// The interpreter itself: liveness, branches, frozen layers, splits. What ops compute is the business of their own tests.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "lqf.h"
#include "small_network.h"

namespace {

using namespace lqf::testing;

#define OK(call) REQUIRE_MESSAGE((call) == LQF_OK, lqf_last_error())

struct Fixture {
    Network network;
    lqf_engine* engine = nullptr;
    lqf_vector *w0 = nullptr, *delta = nullptr;
    std::vector<float> images, weights, direction;

    explicit Fixture(const char* device, int threads = 1, Network of = {}) : network(std::move(of)) {
        OK(lqf_engine_open(device, threads, 2, &engine));
        std::mt19937 random(7);
        std::normal_distribution<float> normal;
        auto draw = [&](size_t n, float scale) {
            std::vector<float> v(n);
            for (float& x : v) x = scale * normal(random);
            return v;
        };
        images = draw(5 * kImage, 1), weights = draw(size_t(network.parameters), 0.4f),
        direction = draw(size_t(network.parameters), 0.3f);
        w0 = vector(weights), delta = vector(direction);
    }
    ~Fixture() {
        lqf_vector_destroy(w0);
        lqf_vector_destroy(delta);
        lqf_engine_close(engine);
    }
    lqf_vector* vector(const std::vector<float>& values) {
        lqf_vector* v;
        OK(lqf_vector_create(engine, int64_t(values.size()), &v));
        OK(lqf_vector_write(v, 0, values.data(), int64_t(values.size())));
        return v;
    }
    static std::vector<float> read(lqf_vector* v, size_t n) {
        std::vector<float> values(n);
        OK(lqf_vector_read(v, 0, values.data(), int64_t(n)));
        return values;
    }
    lqf_plan* compile(int max_batch) {
        lqf_plan* plan = nullptr;
        OK(lqf_plan_compile(engine, network.nodes.data(), int(network.nodes.size()), network.names.c_str(), 3, 9, 7, w0,
                            max_batch, &plan));
        return plan;
    }
    // [outputs, J delta, J^T u] of images first ... first + n; u = outputs
    std::vector<std::vector<float>> verbs(lqf_plan* plan, int first, int n, lqf_vector* gradient) {
        lqf_vector* out;
        OK(lqf_vector_create(engine, n * kClasses, &out));
        OK(lqf_plan_forward(plan, images.data() + first * kImage, n));
        OK(lqf_plan_jvp(plan, delta, out));
        auto change = read(out, size_t(n * kClasses));
        OK(lqf_plan_outputs(plan, out));
        auto outputs = read(out, size_t(n * kClasses));
        OK(lqf_plan_vjp(plan, out, gradient));
        lqf_vector_destroy(out);
        return {outputs, change};
    }
};

double dot(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); i++) sum += double(a[i]) * b[i];
    return sum;
}

}  // namespace

TEST_CASE("jvp is the derivative of forward, vjp its adjoint, jacobian its rows") {
    for (const char* device : {"reference", "cpu"}) {
        CAPTURE(device);
        Fixture f(device);
        lqf_plan* plan = f.compile(5);
        lqf_vector* gradient = f.vector(std::vector<float>(f.weights.size()));
        auto result = f.verbs(plan, 0, 5, gradient);
        const auto &outputs = result[0], &change = result[1];
        CHECK(dot(change, outputs) ==
              doctest::Approx(dot(Fixture::read(gradient, f.weights.size()), f.direction)).epsilon(1e-5));

        lqf_vector* rows = f.vector(std::vector<float>(5 * kClasses * f.weights.size()));
        OK(lqf_plan_jacobian(plan, rows, 0, 0, int64_t(f.weights.size()), kClasses));
        auto jacobian = Fixture::read(rows, 5 * kClasses * f.weights.size());
        for (size_t r = 0; r < change.size(); r++) {
            std::vector<float> row(jacobian.begin() + long(r * f.weights.size()),
                                   jacobian.begin() + long((r + 1) * f.weights.size()));
            CHECK(dot(row, f.direction) == doctest::Approx(double(change[r])).epsilon(1e-4));
        }

        const float step = 2e-4f;
        std::vector<std::vector<float>> sides;
        for (float sign : {1.0f, -1.0f}) {
            std::vector<float> moved = f.weights;
            for (size_t i = 0; i < moved.size(); i++) moved[i] += sign * step * f.direction[i];
            lqf_vector* w = f.vector(moved);
            OK(lqf_plan_set_parameters(plan, w));
            sides.push_back(f.verbs(plan, 0, 5, gradient)[0]);
            lqf_vector_destroy(w);
        }
        double error = 0, norm = 0;
        for (size_t i = 0; i < change.size(); i++) {
            double difference = (double(sides[0][i]) - sides[1][i]) / (2 * step);
            error += (difference - change[i]) * (difference - change[i]), norm += double(change[i]) * change[i];
        }
        CHECK(std::sqrt(error / norm) <
              2e-3);  // float differences; the tight bounds are in the Java tests against double
        for (lqf_vector* v : {gradient, rows}) lqf_vector_destroy(v);
        lqf_plan_destroy(plan);
    }
}

TEST_CASE("the bits do not depend on threads, splits or room for more images") {
    for (const char* device : {"reference", "cpu"}) {
        CAPTURE(device);
        std::vector<std::vector<float>> expected;
        std::vector<float> expected_gradient;
        for (int threads : {1, 2, 3}) {
            for (auto split : std::vector<std::vector<int>>{{5}, {2, 3}, {1, 1, 1, 1, 1}}) {
                Fixture f(device, threads);
                lqf_plan* plan = f.compile(threads == 1 ? 5 : 100);
                lqf_vector* gradient = f.vector(std::vector<float>(f.weights.size()));
                std::vector<std::vector<float>> got(2);
                int first = 0;
                for (int n : split) {
                    auto part = f.verbs(plan, first, n, gradient);
                    for (size_t k = 0; k < 2; k++) got[k].insert(got[k].end(), part[k].begin(), part[k].end());
                    first += n;
                }
                auto gradients = Fixture::read(gradient, f.weights.size());
                if (expected.empty()) expected = got, expected_gradient = gradients;
                CHECK(std::memcmp(got[0].data(), expected[0].data(), got[0].size() * sizeof(float)) == 0);
                CHECK(std::memcmp(got[1].data(), expected[1].data(), got[1].size() * sizeof(float)) == 0);
                CHECK(std::memcmp(gradients.data(), expected_gradient.data(), gradients.size() * sizeof(float)) == 0);
                lqf_vector_destroy(gradient);
                lqf_plan_destroy(plan);
            }
        }
    }
}

namespace {
// Both Kronecker factors of every layer by the images of the last forward.
std::vector<double> factors_of(lqf_plan* plan) {
    lqf_factors* factors;
    OK(lqf_factors_create(plan, 0, &factors));
    OK(lqf_factors_accumulate(factors, plan, 0, 1));
    int32_t layers, input, output;
    OK(lqf_factors_layers(factors, &layers));
    std::vector<double> all;
    for (int layer = 0; layer < layers; layer++) {
        OK(lqf_factors_sides(factors, layer, &input, &output));
        const size_t begin = all.size(), sides = size_t(input) * size_t(input);
        all.resize(begin + sides + size_t(output) * size_t(output));
        OK(lqf_factors_read(factors, layer, &all[begin], &all[begin + sides]));
    }
    lqf_factors_destroy(factors);
    return all;
}

void sums_have_the_bits_of_one_thread(const Network& network, int many) {
    std::map<int, std::vector<float>> gradients;  // by the number of images
    std::map<int, std::vector<double>> factors;
    for (int threads : {1, 2, 3, 16}) {
        CAPTURE(threads);
        Fixture f("cpu", threads, network);
        for (int n : {5, many}) {
            std::mt19937 random(8);
            std::normal_distribution<float> normal;
            std::vector<float> images(size_t(n) * kImage), cotangent(size_t(n) * kClasses);
            for (std::vector<float>* values : {&images, &cotangent})
                for (float& value : *values) value = normal(random);
            lqf_plan* plan = f.compile(n);
            lqf_vector *bar = f.vector(cotangent), *gradient = f.vector(std::vector<float>(f.weights.size()));
            OK(lqf_plan_forward(plan, images.data(), n));
            OK(lqf_plan_vjp(plan, bar, gradient));
            const auto sum = Fixture::read(gradient, f.weights.size());
            const auto of_layers = factors_of(plan);
            if (threads == 1) gradients[n] = sum, factors[n] = of_layers;
            CHECK(of_layers.size() > sum.size());
            CHECK(std::memcmp(sum.data(), gradients[n].data(), sum.size() * sizeof(float)) == 0);
            CHECK(of_layers == factors[n]);
            for (lqf_vector* v : {bar, gradient}) lqf_vector_destroy(v);
            lqf_plan_destroy(plan);
        }
    }
}
}  // namespace

TEST_CASE("of many images each gets the bits that it has among few") {
    constexpr int kFew = 5, kMany = 200;  // more than the threads take at once
    std::vector<std::vector<float>> expected;
    for (int threads : {1, 2, 3}) {
        CAPTURE(threads);
        Fixture f("cpu", threads);
        for (int n : {kFew, kMany}) {
            std::vector<float> images, scores(size_t(n) * kClasses);
            for (int i = 0; i < n; i += kFew) images.insert(images.end(), f.images.begin(), f.images.end());
            lqf_plan* plan = f.compile(n);
            lqf_vector* out = f.vector(scores);
            std::vector<std::vector<float>> got;
            OK(lqf_plan_forward(plan, images.data(), n));
            OK(lqf_plan_outputs(plan, out));
            got.push_back(Fixture::read(out, scores.size()));
            OK(lqf_plan_jvp(plan, f.delta, out));
            got.push_back(Fixture::read(out, scores.size()));
            OK(lqf_plan_predict(plan, f.delta, images.data(), n, scores.data()));
            got.push_back(scores);
            OK(lqf_plan_forward_jvp(plan, images.data(), n, f.delta, out));
            CHECK(Fixture::read(out, scores.size()) == got[1]);
            OK(lqf_plan_outputs(plan, out));
            CHECK(Fixture::read(out, scores.size()) == got[0]);
            const size_t parameters = f.weights.size();
            lqf_vector* rows = f.vector(std::vector<float>(scores.size() * parameters, NAN));
            OK(lqf_plan_jacobian(plan, rows, 0, 0, int64_t(parameters), kClasses));
            got.push_back(Fixture::read(rows, scores.size() * parameters));
            lqf_vector_destroy(rows);
            if (expected.empty()) expected = got;
            for (size_t verb = 0; verb < got.size(); verb++)
                for (size_t i = 0; i < got[verb].size(); i += expected[verb].size())
                    CHECK(std::memcmp(&got[verb][i], expected[verb].data(), expected[verb].size() * sizeof(float)) ==
                          0);
            lqf_vector_destroy(out);
            lqf_plan_destroy(plan);
        }
    }
}

TEST_CASE("what many images sum to has the bits of one thread") {
    sums_have_the_bits_of_one_thread({}, 200);
    Network wide;  // of an output factor of 18 MB only some are summed side by side
    wide.nodes.clear(), wide.names.clear(), wide.parameters = 0;
    lqf_node linear = node(LQF_LINEAR, wide.add(node(LQF_GLOBAL_AVG_POOL, -1)));
    linear.out_channels = 1500;
    linear.input0 = wide.add(linear, 3), linear.out_channels = kClasses;
    wide.add(linear, 1500);
    sums_have_the_bits_of_one_thread(wide, 20);
}

TEST_CASE("frozen layers neither move nor get a gradient") {
    Fixture f("reference");
    for (size_t i = 0; i + 1 < f.network.nodes.size(); i++) f.network.nodes[i].linearised = 0;
    const int64_t head = f.network.nodes.back().weight_offset;
    lqf_plan* plan = f.compile(5);
    lqf_vector* gradient = f.vector(std::vector<float>(f.weights.size(), 3.0f));
    auto change = f.verbs(plan, 0, 5, gradient)[1];
    auto gradients = Fixture::read(gradient, f.weights.size());
    for (int64_t i = 0; i < head; i++) REQUIRE(gradients[size_t(i)] == 3.0f);
    CHECK(gradients[size_t(head)] != 3.0f);
    std::fill(f.direction.begin() + head, f.direction.end(), 0.0f);
    OK(lqf_vector_write(f.delta, 0, f.direction.data(), int64_t(f.direction.size())));
    auto unmoved = f.verbs(plan, 0, 5, gradient)[1];
    CHECK(dot(unmoved, unmoved) == 0);
    CHECK(dot(change, change) > 0);
    lqf_vector_destroy(gradient);
    lqf_plan_destroy(plan);
}

TEST_CASE("memory returns to zero and errors say what was expected") {
    Fixture f("reference");
    int64_t before, after;
    OK(lqf_engine_memory(f.engine, &before));
    lqf_plan* plan = f.compile(3);
    CHECK(lqf_plan_forward(plan, f.images.data(), 4) == LQF_INVALID);
    CHECK(std::string(lqf_last_error()) == "4 images, this plan takes 1 to 3");
    CHECK(lqf_plan_outputs(plan, f.delta) == LQF_INVALID);  // before forward
    CHECK(lqf_plan_forward_jvp(plan, f.images.data(), 4, f.delta, f.w0) == LQF_INVALID);
    CHECK(std::string(lqf_last_error()) == "4 images, this plan takes 1 to 3");
    CHECK(lqf_plan_forward_jvp_vector(plan, f.w0, 1, f.delta, f.w0) == LQF_INVALID);
    CHECK(std::string(lqf_last_error()) == "out is images");
    for (int n : {1, 2}) {  // before a forward and after one
        CHECK(lqf_plan_forward_jvp(plan, f.images.data(), n, f.delta, f.delta) == LQF_INVALID);
        CHECK(std::string(lqf_last_error()) == "out is delta");
        OK(lqf_plan_forward(plan, f.images.data(), 1));
        CHECK(lqf_plan_jvp(plan, f.delta, f.delta) == LQF_INVALID);
        CHECK(std::string(lqf_last_error()) == "out is delta");
    }
    int64_t own, shared;
    OK(lqf_plan_memory(plan, &own, &shared));
    lqf_plan_destroy(plan);
    OK(lqf_engine_memory(f.engine, &after));
    CHECK(after == before + shared);
    f.network.nodes[0].kernel_h = 99;
    CHECK(lqf_plan_compile(f.engine, f.network.nodes.data(), int(f.network.nodes.size()), f.network.names.c_str(), 3, 9,
                           7, f.w0, 1, &plan) == LQF_INVALID);
    CHECK(
        std::string(lqf_last_error()).find("conv2d \"n0\" (node 0): input is [3,9,7], smaller than the kernel 99x3") ==
        0);
}
