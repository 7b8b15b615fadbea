// The device back end against the reference table: every verb of a small network on odd shapes, so that every kernel runs at least once.
// Built three times: with the PTX that nvcc made of the kernels (LQF_PTX), with the kernels watched for races (LQF_EMULATOR_CHECKED), and with
// the emulator as it is, which the profile asan puts under its sanitizers.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <random>

#include "backend.h"
#include "engine.h"
#include "small_network.h"
#ifdef LQF_PTX
#include "ptx/ptx.h"
#elif defined(LQF_EMULATOR_CHECKED)
#include "race.h"
#endif

extern "C" int32_t lqf_device_ops(int32_t version, uint64_t ops_bytes, const lqf::Ops** ops, char* text,
                                  int64_t capacity);

namespace {

using namespace lqf::testing;
using Floats = std::vector<float>;

#define OK(call) REQUIRE_MESSAGE((call) == LQF_OK, std::string(lqf_last_error()))

const lqf::Ops& device_ops() {
    const lqf::Ops* ops = nullptr;
    char text[256] = "";
    REQUIRE_MESSAGE(lqf_device_ops(lqf::kOpsVersion, sizeof(lqf::Ops), &ops, text, sizeof text) == LQF_OK, text);
    return *ops;
}

Floats normals(size_t count, float deviation, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    Floats values(count);
    for (float& v : values) v = deviation * normal(random);
    return values;
}

double distance(const Floats& value, const Floats& truth) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < truth.size(); i++) {
        difference += std::pow(double(value[i]) - truth[i], 2);
        norm += std::pow(double(truth[i]), 2);
    }
    return std::sqrt(difference / norm);
}

struct Device {
    lqf_engine engine;

    explicit Device(const lqf::Ops& ops) : engine{std::make_shared<lqf::Engine>(ops, 1, 2)} {}

    lqf_vector* vector(const Floats& values) {
        lqf_vector* v = nullptr;
        OK(lqf_vector_create(&engine, int64_t(values.size()), &v));
        OK(lqf_vector_write(v, 0, values.data(), int64_t(values.size())));
        return v;
    }
    static Floats read(lqf_vector* v) {
        Floats values(size_t(v->length));
        OK(lqf_vector_read(v, 0, values.data(), v->length));
        OK(lqf_vector_destroy(v));
        return values;
    }
};

constexpr int kImages = 3, kImage = 3 * 9 * 7, kClasses = 4;

// Everything that the engine computes of a network, in one order.
std::vector<Floats> results(const lqf::Ops& ops) {
    Device device(ops);
    const Network network;
    const auto parameters = size_t(network.parameters);
    const Floats images = normals(kImages * kImage, 1, 1);
    lqf_vector *w0 = device.vector(normals(parameters, 0.25f, 2)), *delta = device.vector(normals(parameters, 0.3f, 3));
    lqf_plan* plan = nullptr;
    OK(lqf_plan_compile(&device.engine, network.nodes.data(), int32_t(network.nodes.size()), network.names.c_str(), 3,
                        9, 7, w0, kImages, &plan));
    std::vector<Floats> all;
    auto outputs = [&] { return device.vector(Floats(kImages * kClasses)); };
    auto keep = [&](lqf_vector* v) { all.push_back(Device::read(v)); };

    OK(lqf_plan_forward(plan, images.data(), kImages));
    lqf_vector* out = outputs();
    OK(lqf_plan_outputs(plan, out));
    keep(out);
    out = outputs();
    OK(lqf_plan_jvp(plan, delta, out));
    keep(out);
    lqf_vector *cotangent = device.vector(normals(kImages * kClasses, 1, 4)),
               *gradient = device.vector(Floats(parameters));
    OK(lqf_plan_vjp(plan, cotangent, gradient));
    lqf_vector* rows = device.vector(Floats(kImages * kClasses * parameters));
    OK(lqf_plan_jacobian(plan, rows, 0, 0, int64_t(parameters), kClasses));

    for (int sharing : {LQF_EXPAND, LQF_REDUCE})
        for (int damping : {LQF_DAMPING_FACTORED, LQF_DAMPING_EXACT}) {
            lqf_factors* factors = nullptr;
            OK(lqf_factors_create(plan, sharing, &factors));
            OK(lqf_factors_accumulate(factors, plan, 0, 0));
            OK(lqf_factors_invert(factors, 10, damping));
            lqf_vector* step = device.vector(Floats(parameters));
            OK(lqf_factors_precondition(factors, gradient, step));
            keep(step);
            OK(lqf_factors_destroy(factors));
        }

    constexpr int kSide = kImages * kClasses;
    lqf_matrix* gram = nullptr;
    OK(lqf_matrix_create(&device.engine, kSide, &gram));
    OK(lqf_matrix_gram(gram, 0, rows, kSide, 0, rows, kSide, int64_t(parameters), 0));
    OK(lqf_matrix_cholesky(gram, 1e4));
    std::vector<double> x(kSide, 1), matrix(kSide * kSide);
    OK(lqf_matrix_solve(gram, x.data(), 1));
    all.emplace_back(x.begin(), x.end());
    OK(lqf_matrix_invert(gram));
    OK(lqf_matrix_read(gram, 0, 0, kSide, kSide, matrix.data()));
    all.emplace_back(matrix.begin(), matrix.end());
    OK(lqf_matrix_eigen(gram, x.data()));
    all.emplace_back(x.begin(), x.end());
    OK(lqf_matrix_destroy(gram));

    OK(lqf_vector_scale(delta, 0.5f));
    OK(lqf_vector_add(delta, 2, gradient));
    lqf_vector* copy = device.vector(Floats(parameters));
    OK(lqf_vector_set(copy, delta));
    double dot = 0;
    OK(lqf_vector_dot(copy, w0, &dot));
    all.push_back({float(dot)});
    OK(lqf_vector_fill(w0, 3));
    keep(w0);
    keep(copy);
    keep(gradient);
    keep(rows);
    Floats scores(kImages * kClasses);
    OK(lqf_plan_predict(plan, delta, images.data(), kImages, scores.data()));
    all.push_back(scores);
    OK(lqf_plan_destroy(plan));
    OK(lqf_vector_destroy(cotangent));
    OK(lqf_vector_destroy(delta));
    return all;
}

// The small network without slopes, so that rounding turns no sign.
Network sloped_by_one() {
    Network network;
    for (lqf_node& n : network.nodes)
        if (n.op == LQF_LEAKY_RELU) n.slope = 1;
    return network;
}

// A convolution of an input that has a tangent, then a linear map in which every pixel counts. Padding makes planes of
// (9 + 2 padding) x (7 + 2 padding).
struct Tile {
    int stride, padding, channels, filters, kernel;

    int side(int images) const { return (images + 2 * padding - 1) / stride + 1; }
};
Network one_tile(const Tile& tile) {
    Network network;
    network.nodes.clear(), network.names.clear(), network.parameters = 0;
    const int x = network.conv(-1, 3, tile.channels, 1, tile.stride, tile.padding);
    const int y = network.conv(x, tile.channels, tile.filters, tile.kernel, 1, tile.kernel / 2);
    lqf_node linear = node(LQF_LINEAR, y);
    linear.out_channels = kClasses;
    network.add(linear, tile.filters * tile.side(9) * tile.side(7));
    return network;
}

// forward, jvp, predict and vjp in a precision.
std::vector<Floats> linear_maps(const lqf::Ops& ops, int precision, const Network& network, float deviation) {
    Device device(ops);
    OK(lqf_engine_set_precision(&device.engine, precision));
    const auto parameters = size_t(network.parameters);
    const Floats images = normals(kImages * kImage, 1, 1);
    lqf_vector *w0 = device.vector(normals(parameters, deviation, 2)),
               *delta = device.vector(normals(parameters, deviation, 3));
    lqf_plan* plan = nullptr;
    OK(lqf_plan_compile(&device.engine, network.nodes.data(), int32_t(network.nodes.size()), network.names.c_str(), 3,
                        9, 7, w0, kImages, &plan));
    Floats scores(kImages * kClasses);
    OK(lqf_plan_predict(plan, delta, images.data(), kImages, scores.data()));
    OK(lqf_plan_forward(plan, images.data(), kImages));
    lqf_vector *out = device.vector(Floats(kImages * kClasses)), *tangent = device.vector(Floats(kImages * kClasses)),
               *gradient = device.vector(Floats(parameters)),
               *cotangent = device.vector(normals(kImages * kClasses, 1, 4));
    OK(lqf_plan_outputs(plan, out));
    OK(lqf_plan_jvp(plan, delta, tangent));
    OK(lqf_plan_vjp(plan, cotangent, gradient));
    for (lqf_vector* v : {w0, delta, cotangent}) OK(lqf_vector_destroy(v));
    OK(lqf_plan_destroy(plan));
    return {Device::read(out), Device::read(tangent), Device::read(gradient), scores};
}

// Training with batch norm: forward, statistics, vjp.
std::vector<Floats> training(const lqf::Ops& ops) {
    Device device(ops);
    Network network;
    network.nodes.clear(), network.names.clear(), network.parameters = 0;
    const int c = network.conv(-1, 3, 5, 3, 2, 1);
    lqf_node norm = node(LQF_BATCH_NORM, c);
    norm.epsilon = 1e-5;
    norm.weight_offset = network.parameters, norm.bias_offset = network.parameters + 5;
    network.parameters += 10;
    const int n = network.add(norm);
    lqf_node linear = node(LQF_LINEAR, network.add(node(LQF_GLOBAL_AVG_POOL, network.relu(n, 0.1f))));
    linear.out_channels = kClasses;
    network.add(linear, 5);
    const auto parameters = size_t(network.parameters);
    lqf_vector* w0 = device.vector(normals(parameters, 0.5f, 2));
    lqf_plan* plan = nullptr;
    OK(lqf_plan_compile(&device.engine, network.nodes.data(), int32_t(network.nodes.size()), network.names.c_str(), 3,
                        9, 7, w0, kImages, &plan));
    OK(lqf_plan_forward(plan, normals(kImages * kImage, 1, 1).data(), kImages));
    lqf_vector *out = device.vector(Floats(kImages * kClasses)), *statistics = device.vector(Floats(10)),
               *gradient = device.vector(Floats(parameters)),
               *cotangent = device.vector(normals(kImages * kClasses, 1, 4));
    OK(lqf_plan_outputs(plan, out));
    OK(lqf_plan_statistics(plan, statistics));
    OK(lqf_plan_vjp(plan, cotangent, gradient));
    OK(lqf_vector_destroy(cotangent));
    OK(lqf_vector_destroy(w0));
    OK(lqf_plan_destroy(plan));
    return {Device::read(out), Device::read(statistics), Device::read(gradient)};
}

// Matrices of several tiles: factor, solve, invert.
std::vector<Floats> several_tiles(const lqf::Ops& ops) {
    Device device(ops);
    constexpr int kSide = 150, kColumns = 3;
    const Floats root = normals(kSide * kSide, 1, 8);
    std::vector<double> a(kSide * kSide), x(kSide * kColumns, 1);
    for (int i = 0; i < kSide; i++)
        for (int j = 0; j < kSide; j++) {
            a[size_t(i * kSide + j)] = i == j ? 10 : 0;
            for (int k = 0; k < kSide; k++)
                a[size_t(i * kSide + j)] += double(root[size_t(i * kSide + k)]) * double(root[size_t(j * kSide + k)]);
        }
    lqf_matrix* matrix = nullptr;
    OK(lqf_matrix_create(&device.engine, kSide, &matrix));
    OK(lqf_matrix_write(matrix, 0, 0, kSide, kSide, a.data()));
    OK(lqf_matrix_cholesky(matrix, 2));
    OK(lqf_matrix_solve(matrix, x.data(), kColumns));
    OK(lqf_matrix_invert(matrix));
    OK(lqf_matrix_read(matrix, 0, 0, kSide, kSide, a.data()));
    OK(lqf_matrix_destroy(matrix));
    return {Floats(x.begin(), x.end()), Floats(a.begin(), a.end())};
}

void check(const std::vector<Floats>& values, const std::vector<Floats>& truth, double bound) {
    REQUIRE(values.size() == truth.size());
    for (size_t i = 0; i < truth.size(); i++) {
        CAPTURE(i);
        CHECK(distance(values[i], truth[i]) < bound);
    }
}

#ifdef LQF_EMULATOR_CHECKED
// Lanes of the convolutions' loads and stores never meet in a bank; matrix products' transposed stores do, two at a time; what latency limits
// may.
void check_banks(int kernels) {
    const std::map<std::string, double> latency_bound{
        {"diagonal_kernel", 1.4}, {"invert_diagonal_kernel", 1.7}, {"solve_kernel", 1.45}};
    int convolutions = 0;
    for (const auto& [kernel, use] : lqf::emulator::take_bank_uses()) {
        CAPTURE(kernel);
        CAPTURE(use.passes);
        CAPTURE(use.ideal);
        const bool convolution =
            kernel.find("conv2d_kernel") != kernel.npos || kernel.find("image_sums_kernel") != kernel.npos;
        convolutions += convolution && use.ideal > 0;
        const auto known = latency_bound.find(kernel);
        const double most = convolution ? 1 : known == latency_bound.end() ? 1.1 : known->second;
        CHECK(double(use.passes) <= most * double(use.ideal));
    }
    CHECK(convolutions == kernels);
}
#endif

}  // namespace

TEST_CASE("the device computes what the reference computes") {
    check(results(device_ops()), results(lqf::reference_ops()), 1e-5);
    check(training(device_ops()), training(lqf::reference_ops()), 1e-5);
    check(several_tiles(device_ops()), several_tiles(lqf::reference_ops()), 1e-6);
    const Network network = sloped_by_one();
    const std::vector<Floats> verbs = linear_maps(lqf::reference_ops(), LQF_FP32, network, 0.3f);
    check(linear_maps(device_ops(), LQF_TF32, network, 0.3f), verbs, 3e-3);
    check(linear_maps(device_ops(), LQF_BF16, network, 0.3f), verbs, 3e-2);
#ifdef LQF_EMULATOR_CHECKED
    for (const std::string& finding : lqf::emulator::take_findings()) FAIL_CHECK(finding);
    check_banks(2);
#endif
}

TEST_CASE("a convolution is the same from every tile, and from parts of its sum") {
    // three images of 63 pixels and what padding adds: wide tiles, middle ones; of 20 pixels: small ones whose sums are cut into two parts; few
    // channels
    for (const Tile& tile :
         {Tile{1, 6, 36, 36, 1}, Tile{1, 0, 36, 36, 1}, Tile{2, 0, 128, 36, 3}, Tile{2, 0, 20, 20, 3}}) {
        CAPTURE(tile.padding);
        CAPTURE(tile.channels);
        const Network network = one_tile(tile);
        const std::vector<Floats> verbs = linear_maps(lqf::reference_ops(), LQF_FP32, network, 0.1f);
        check(linear_maps(device_ops(), LQF_FP32, network, 0.1f), verbs, 1e-5);
        check(linear_maps(device_ops(), LQF_TF32, network, 0.1f), verbs, 3e-3);
        check(linear_maps(device_ops(), LQF_BF16, network, 0.1f), verbs, 3e-2);
    }
#ifdef LQF_EMULATOR_CHECKED
    for (const std::string& finding : lqf::emulator::take_findings()) FAIL_CHECK(finding);
    check_banks(3);
#endif
}
