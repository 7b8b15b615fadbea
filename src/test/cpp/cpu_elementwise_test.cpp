#include "cpu_testing.h"

namespace lqf::testing {
namespace {

const int64_t kCounts[] = {1, 7, 16, 17, 100, 4096, 40000};

// Everything that works on plain arrays, one after the other.
std::vector<Floats> run(Device& d, int64_t n, const Floats& a, const Floats& b) {
    std::vector<Floats> results;
    Threads& t = d.threads;
    Floats y(size_t(n), NAN);
    d.ops.leaky_relu(t, n, 0.25f, a.data(), y.data());
    results.push_back(y);
    Floats in_place = a;
    d.ops.leaky_relu(t, n, 0.0f, in_place.data(), in_place.data());
    results.push_back(in_place);
    d.ops.leaky_relu_scale(t, n, 0.25f, a.data(), b.data(), y.data(), false);
    results.push_back(y);
    d.ops.leaky_relu_scale(t, n, 0.25f, a.data(), b.data(), y.data(), true);
    results.push_back(y);
    Floats scaled = b;
    d.ops.leaky_relu_scale(t, n, 0.25f, a.data(), scaled.data(), scaled.data(), false);
    results.push_back(scaled);
    d.ops.add(t, n, a.data(), b.data(), y.data());
    d.ops.add(t, n, y.data(), b.data(), y.data());
    results.push_back(y);
    d.ops.fill(t, n, 3.0f, y.data());
    d.ops.axpy(t, n, 2.0f, a.data(), y.data());
    d.ops.scale(t, n, 0.5f, y.data());
    results.push_back(y);
    d.ops.copy(t, n, a.data(), y.data());
    results.push_back(y);
    return results;
}

}  // namespace

TEST_CASE("cpu elementwise ops equal the reference exactly on integers") {
    Device reference(reference_ops());
    for (int64_t n : kCounts) {
        CAPTURE(n);
        const Floats a = integers(size_t(n), 1), b = integers(size_t(n), 2);
        const auto expected = run(reference, n, a, b);
        each_isa([&] {
            for (int threads : {1, 2, 3}) {
                Device device(cpu_ops(), threads);
                const auto results = run(device, n, a, b);
                for (size_t k = 0; k < results.size(); ++k) CHECK(same_values(results[k], expected[k]));
                CHECK(device.ops.dot(device.threads, n, a.data(), b.data()) ==
                      reference.ops.dot(reference.threads, n, a.data(), b.data()));
            }
        });
    }
}

TEST_CASE("cpu dot gives the same bits for any number of threads and any instruction set") {
    for (int64_t n : kCounts) {
        CAPTURE(n);
        const Floats a = normals(size_t(n), 1), b = normals(size_t(n), 2);
        Device one(cpu_ops(), 1), three(cpu_ops(), 3), reference(reference_ops());
        const double expected = one.ops.dot(one.threads, n, a.data(), b.data());
        CHECK(expected ==
              doctest::Approx(reference.ops.dot(reference.threads, n, a.data(), b.data())).epsilon(1e-12 * double(n)));
        each_isa([&] { CHECK(three.ops.dot(three.threads, n, a.data(), b.data()) == expected); });
    }
}

TEST_CASE("cpu border keeps values and pads channels with zeros") {
    Device device(cpu_ops(), 2);
    for (int c : {1, 3, 16, 17, 33}) {
        CAPTURE(c);
        const Floats images = normals(size_t(2) * c * 5 * 3, 7);
        CHECK(same_bits(device.plain(2, c, 5, 3, device.in_layout(2, c, 5, 3, images)), images));
        const Floats outputs = normals(size_t(4) * c, 8);
        Floats y(device.floats(4, c, 1, 1), NAN), back(outputs.size());
        device.ops.import_cotangent(device.threads, 4, c, outputs.data(), y.data());
        CHECK(same_bits(device.plain(4, c, 1, 1, y), outputs));
        device.ops.export_outputs(device.threads, 4, c, y.data(), back.data());
        CHECK(same_bits(back, outputs));
    }
}

}  // namespace lqf::testing
