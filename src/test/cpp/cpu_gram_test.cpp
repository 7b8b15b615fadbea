#include "cpu_testing.h"

namespace lqf::testing {
namespace {

using Doubles = std::vector<double>;

struct Size {
    int64_t a_rows, b_rows, length;
};
// On each side of what tiles, tasks, panels and chunks hold.
const Size kSizes[] = {{1, 1, 1},      {7, 5, 100},   {33, 17, 4095}, {60, 31, 4096},
                       {57, 64, 4129}, {4, 325, 300}, {3, 322, 10007}};

// a b^T beside the diagonal of a larger matrix, and its mirror image; what is not set is NaN.
Doubles product(Device& d, const Size& s, const Floats& a, const Floats& b) {
    const int64_t stride = s.a_rows + s.b_rows;
    Doubles out(size_t(stride * stride), NAN);
    d.ops.gram(d.threads, s.a_rows, s.b_rows, s.length, a.data(), b.data(), false, out.data() + s.a_rows,
               out.data() + s.a_rows * stride, stride);
    return out;
}

Doubles square(Device& d, int64_t rows, int64_t length, const Floats& a) {
    Doubles out(size_t(rows * rows), NAN);
    d.ops.gram(d.threads, rows, rows, length, a.data(), a.data(), false, out.data(), out.data(), rows);
    return out;
}

void check_near(const Doubles& actual, const Doubles& expected, double bound) {
    REQUIRE(actual.size() == expected.size());
    double worst = 0;
    bool same_set = true;
    for (size_t i = 0; i < actual.size(); ++i) {
        same_set = same_set && std::isnan(actual[i]) == std::isnan(expected[i]);
        if (!std::isnan(expected[i])) worst = std::max(worst, std::fabs(actual[i] - expected[i]));
    }
    CHECK(same_set);
    CHECK(worst <= bound);
}

}  // namespace

TEST_CASE("cpu products of rows agree with the reference") {
    Device reference(reference_ops());
    for (const Size& s : kSizes) {
        CAPTURE(s.a_rows);
        CAPTURE(s.length);
        const Floats a = normals(size_t(s.a_rows * s.length), 1), b = normals(size_t(s.b_rows * s.length), 2);
        const Floats integer = integers(a.size(), 1), other = integers(b.size(), 2);
        const double bound = kEps * std::sqrt(double(s.length)) * double(s.length);  // of rows of norm sqrt(length)
        const Doubles expected = product(reference, s, a, b),
                      expected_square = square(reference, s.a_rows, s.length, a);
        const Doubles exact = product(reference, s, integer, other),
                      exact_square = square(reference, s.a_rows, s.length, integer);
        each_isa([&] {
            Device one(cpu_ops(), 1), three(cpu_ops(), 3);
            const Doubles out = product(one, s, a, b), out_square = square(one, s.a_rows, s.length, a);
            check_near(out, expected, 4 * bound);
            check_near(out_square, expected_square, 4 * bound);
            check_near(product(one, s, integer, other), exact, 0);
            check_near(square(one, s.a_rows, s.length, integer), exact_square, 0);
            CHECK(same_bits(product(three, s, a, b), out));
            CHECK(same_bits(square(three, s.a_rows, s.length, a), out_square));
        });
    }
}

TEST_CASE("cpu products of equal rows have no bias") {
    const int64_t rows = 64, length = 8192;
    const Floats a = normals(size_t(rows * length), 3);
    Device reference(reference_ops());
    const Doubles expected = square(reference, rows, length, a);
    each_isa([&] {
        Device device(cpu_ops(), 2);
        const Doubles actual = square(device, rows, length, a);
        double relative = 0;
        for (int64_t i = 0; i < rows; ++i)
            relative += (actual[size_t(i * (rows + 1))] / expected[size_t(i * (rows + 1))] - 1) / double(rows);
        CHECK(std::fabs(relative) <= 2 * kEps);
    });
}

}  // namespace lqf::testing
