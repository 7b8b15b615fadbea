#include <algorithm>
#include <type_traits>

#include "cpu_testing.h"

namespace lqf::testing {
namespace {

using Doubles = std::vector<double>;

// B B^T + side I of a random B: symmetric, condition about 5.
Doubles positive(int64_t side, unsigned seed) {
    const Floats b = normals(size_t(side * side), seed);
    Doubles a(size_t(side * side));
    for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j <= i; ++j) {
            double sum = i == j ? double(side) : 0;
            for (int64_t k = 0; k < side; ++k) sum += double(b[i * side + k]) * b[j * side + k];
            a[i * side + j] = a[j * side + i] = sum;
        }
    return a;
}

// max |a b - I|
template <class A, class B>
double distance_to_identity(int64_t side, const A& a, const B& b) {
    double most = 0;
    for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j < side; ++j) {
            double sum = i == j ? -1 : 0;
            for (int64_t k = 0; k < side; ++k) sum += double(a[i * side + k]) * double(b[k * side + j]);
            most = std::max(most, std::abs(sum));
        }
    return most;
}

const int64_t kSides[] = {1, 2, 17, 128, 129, 300};

// Rows of numbers in fixed point, in panels of 16, with their bytes.
template <class T>
struct FixedRows {
    int64_t rows, columns;
    int bytes;
    std::vector<T> panels;
    Doubles scales;
    std::vector<uint32_t> left, right;

    FixedRows(const Doubles& values, int64_t rows, int bytes)
        : rows(rows),
          columns(int64_t(values.size()) / rows),
          bytes(bytes),
          panels(values.size()),
          scales(size_t(rows)),
          left(size_t(rows / cpu::kBlock * group())),
          right(left.size()) {
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t k = 0; k < columns; ++k) panels[size_t(at(i, k))] = T(values[size_t(i * columns + k)]);
        for (int64_t i = 0; i < rows; i += cpu::kBlock) {
            const cpu::ByteLines<T> lines{&panels[size_t(i * columns)],
                                          int(columns),
                                          bytes,
                                          &scales[size_t(i)],
                                          &right[size_t(i / cpu::kBlock * group())],
                                          &left[size_t(i / cpu::kBlock * group())]};
            if constexpr (std::is_same_v<T, float>)
                cpu::kernels().split_bytes(lines);
            else
                cpu::kernels().split_bytes_double(lines);
        }
    }
    int steps() const { return int((columns + cpu::kByteDepth - 1) / cpu::kByteDepth); }
    int64_t group() const { return steps() * bytes * cpu::kBytesTile; }
    int64_t at(int64_t row, int64_t column) const {
        return (row / cpu::kBlock * columns + column) * cpu::kBlock + row % cpu::kBlock;
    }
    double operator()(int64_t row, int64_t column) const { return double(panels[size_t(at(row, column))]); }
    double largest(int64_t row) const {
        double most = 0;
        for (int64_t k = 0; k < columns; ++k) most = std::max(most, std::abs((*this)(row, k)));
        return most;
    }
};

// c [panel][column][16], from c on.
template <class T>
std::vector<T> product(const FixedRows<T>& a, const FixedRows<T>& b, std::vector<T> c, bool lower,
                       bool triangle = false, bool upper = false) {
    cpu::ByteProduct<T> p{};
    p.bytes = a.bytes, p.steps = a.steps();
    p.rows = int(a.rows), p.columns = int(b.rows);
    p.left = p.next_left = b.left.data(), p.left_group = b.group(), p.left_scale = b.scales.data();
    p.right = p.next_right = a.right.data(), p.right_group = a.group(), p.right_scale = a.scales.data();
    p.c = c.data(), p.c_panel = b.rows * cpu::kBlock;
    p.lower = lower, p.triangle = triangle, p.upper = upper;
    if constexpr (std::is_same_v<T, float>)
        cpu::kernels().multiply_bytes(p);
    else
        cpu::kernels().multiply_bytes_double(p);
    return c;
}

// What a product leaves out is at most bytes * 2^(4 - 8 bytes) of that of the largest numbers of its rows; terms: how often that adds up in a sum.
template <class T>
void check_products(const Doubles& left, const Doubles& right, int64_t rows, int64_t columns, int bytes, double terms) {
    const FixedRows<T> a(left, rows, bytes), b(right, columns, bytes);
    for (bool lower : {false, true}) {
        if (lower && rows != columns) continue;
        const std::vector<T> before(size_t(rows * columns), T(0.5)), c = product(a, b, before, lower);
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < columns; ++j) {
                const double got = double(c[size_t((i / cpu::kBlock * columns + j) * cpu::kBlock + i % cpu::kBlock)]);
                if (lower && i / cpu::kBlock < j / cpu::kBlock) {
                    CHECK(got == 0.5);
                    continue;
                }
                double expected = 0.5, sizes = 0.5;
                for (int64_t k = 0; k < a.columns; ++k)
                    expected += a(i, k) * b(j, k), sizes += std::abs(a(i, k) * b(j, k));
                const double bound = std::ldexp(terms * bytes * a.largest(i) * b.largest(j), 4 - 8 * bytes) +
                                     4 * sizes * (std::is_same_v<T, float> ? 0x1p-24 : 0x1p-50);
                if (!(std::abs(got - expected) <= bound)) FAIL(i << ", " << j << ": " << got << ", not " << expected);
            }
    }
}

}  // namespace

TEST_CASE("cpu products in fixed point are as exact as their bytes") {
    each_isa([&] {
        if (!cpu::kernels().multiply_bytes) return;
        for (auto [rows, columns, depth] : {std::tuple{16, 16, 1}, {16, 48, 16}, {48, 32, 80}, {64, 64, 192}}) {
            const Floats a = normals(size_t(rows) * depth, 21), b = normals(size_t(columns) * depth, 22);
            Doubles left(a.begin(), a.end()), right(b.begin(), b.end());
            for (size_t i = 0; i < left.size(); ++i)  // rows of many sizes, one of them of zeros
                left[i] *= i / depth == 3 ? 0 : std::ldexp(1.0, int(i / depth % 40) - 20);
            check_products<float>(left, right, rows, columns, 4, std::sqrt(depth));
            for (int bytes : {4, 5, 6}) check_products<double>(left, right, rows, columns, bytes, std::sqrt(depth));
        }
    });
}

TEST_CASE("cpu products in fixed point do not overflow, and carry") {
    each_isa([&] {
        if (!cpu::kernels().multiply_bytes) return;
        const int64_t rows = 16, depth = cpu::kMostByteDepth;
        for (int bytes : {4, 5, 6}) {
            // The largest there are: of bytes -63, -128, -128, ..; 64, -128, ..; 64, 0, ..; 63, 127, 127, ..
            const double last = std::ldexp(1.0, -8 * (bytes - 1)), tail = (1 - last) / 255;
            for (double first : {-63 - 128 * tail, 64 - 128 * tail, 64.0, 63 + 127 * tail})
                for (double second : {-63 - 128 * tail, 64 - 128 * tail, 64.0, 63 + 127 * tail}) {
                    const Doubles a(size_t(rows * depth), first), b(size_t(rows * depth), second);
                    check_products<double>(a, b, rows, rows, bytes, depth);
                    if (bytes == 4) check_products<float>(a, b, rows, rows, bytes, depth);
                }
        }
    });
}

TEST_CASE("cpu products in fixed point with a triangle leave out its zeros alone") {
    each_isa([&] {
        if (!cpu::kernels().multiply_bytes) return;
        const int64_t side = 160;
        const Floats values = normals(size_t(side * side), 23);
        Doubles any(values.begin(), values.end()), lower = any, upper = any;
        for (int64_t i = 0; i < side; ++i)
            for (int64_t j = 0; j < i; ++j) lower[size_t(j * side + i)] = upper[size_t(i * side + j)] = 0;
        const FixedRows<double> a(any, side, 5), l(lower, side, 5), u(upper, side, 5);
        const Doubles zeros(size_t(side * side), 0.0);
        CHECK(same_bits(product(a, l, zeros, false, true), product(a, l, zeros, false)));
        CHECK(same_bits(product(u, a, zeros, false, false, true), product(u, a, zeros, false)));
    });
}

TEST_CASE("cpu gram agrees with the reference and does not depend on threads") {
    Device reference(reference_ops()), one(cpu_ops(), 1), three(cpu_ops(), 3);
    for (auto [rows, columns, length] : {std::tuple{1, 1, 1}, {5, 7, 4100}, {200, 193, 130}}) {
        const Floats a = normals(size_t(rows) * length, 1), b = normals(size_t(columns) * length, 2);
        const int64_t stride = std::max(rows, columns) + 2;
        auto gram = [&, rows = rows, columns = columns, length = length](Device& d, const Floats& other) {
            Doubles out(size_t(rows * stride), -1.0);
            Doubles mirrored(size_t(columns * stride), -1.0);
            d.ops.gram(d.threads, rows, columns, length, a.data(), other.data(), false, out.data(), mirrored.data(),
                       stride);
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < columns; ++j)
                    REQUIRE(mirrored[size_t(j * stride + i)] == out[size_t(i * stride + j)]);
            return out;
        };
        const Doubles expected = gram(reference, b), result = gram(one, b);
        check_close(result, expected, length);
        CHECK(same_bits(gram(three, b), result));
        CHECK(result[size_t(columns)] == -1.0);  // beyond the row
    }
    const Floats a = normals(size_t(200) * 90, 1);
    Doubles with_itself(200 * 200), expected(200 * 200);
    three.ops.gram(three.threads, 200, 200, 90, a.data(), a.data(), false, with_itself.data(), with_itself.data(), 200);
    reference.ops.gram(reference.threads, 200, 200, 90, a.data(), a.data(), false, expected.data(), nullptr, 200);
    check_close(with_itself, expected, 90);
    CHECK(with_itself[17 * 200 + 199] == with_itself[199 * 200 + 17]);
}

TEST_CASE("cpu Cholesky factors, solves and inverts, with the same bits for any number of threads") {
    for (int64_t side : kSides) {
        CAPTURE(side);
        const Doubles a = positive(side, unsigned(side));
        const Floats right = normals(size_t(side * 40), 3);
        Doubles first_l, first_x, first_inverse;
        for (int threads : {1, 2, 3}) {
            Device device(cpu_ops(), threads);
            Doubles l = a;
            REQUIRE(device.ops.cholesky(device.threads, side, l.data(), 0) == 0);
            Doubles x(right.begin(), right.end());
            device.ops.cholesky_solve(device.threads, side, l.data(), 40, x.data());
            double worst = 0;
            for (int64_t i = 0; i < side; ++i)
                for (int64_t c = 0; c < 40; ++c) {
                    double sum = -double(right[i * 40 + c]);
                    for (int64_t k = 0; k < side; ++k) sum += a[i * side + k] * x[k * 40 + c];
                    worst = std::max(worst, std::abs(sum));
                }
            CHECK(worst < 1e-11);
            Doubles inverse = l;
            device.ops.cholesky_inverse(device.threads, side, inverse.data());
            CHECK(distance_to_identity(side, a, inverse) < 1e-11);
            for (int64_t i = 0; i < side; ++i)  // above the diagonal cholesky leaves what was there
                for (int64_t j = i + 1; j < side; ++j) l[i * side + j] = 0;
            if (threads == 1) first_l = l, first_x = x, first_inverse = inverse;
            CHECK(same_bits(l, first_l));
            CHECK(same_bits(x, first_x));
            CHECK(same_bits(inverse, first_inverse));
        }
    }
}

TEST_CASE("cpu Cholesky names the pivot that fails") {
    Device device(cpu_ops(), 2), reference(reference_ops());
    const int64_t side = 300;
    for (auto [bad, pivot] : {std::pair{0, -1.0}, {130, -1.0}, {299, -1.0}, {130, std::nan("")}, {299, INFINITY}}) {
        Doubles a(size_t(side * side));
        for (int64_t i = 0; i < side; ++i) a[i * side + i] = i == bad ? pivot : 1;
        Doubles b = a, c = a;
        CHECK(device.ops.cholesky(device.threads, side, b.data(), 0.25) == bad + 1);
        CHECK(reference.ops.cholesky(reference.threads, side, c.data(), 0.25) == bad + 1);
        Floats out(a.size());
        const SpdInverse inverse{side, a.data(), 1, 0.5, out.data()};
        int64_t failing = -1;
        device.ops.spd_inverse(device.threads, 1, &inverse, &failing);
        CHECK(failing == bad + 1);
    }
}

TEST_CASE("cpu spd_inverse names the pivot of a large matrix that fails, whatever it is inverted in") {
    Device device(cpu_ops(), 2);
    const int64_t side = 1100;
    for (auto [bad, pivot] :
         {std::pair{0, -1.0}, {400, -1.0}, {1099, -1.0}, {400, -0.5}, {400, std::nan("")}, {1099, INFINITY}}) {
        Doubles a(size_t(side * side));
        for (int64_t i = 0; i < side; ++i) a[i * side + i] = i == bad ? pivot : 1;
        for (double shift : {0.5, 0x1p-15, 0x1p-19, 0x1p-25}) {
            CAPTURE(shift);
            each_isa([&] {
                Floats out(a.size());
                const SpdInverse inverse{side, a.data(), 1, shift, out.data()};
                int64_t failing = -1;
                device.ops.spd_inverse(device.threads, 1, &inverse, &failing);
                CHECK(failing == bad + 1);
            });
        }
    }
}

TEST_CASE("cpu spd_inverse inverts the scaled and shifted matrices") {
    Device device(cpu_ops(), 2);
    std::vector<Doubles> a;
    std::vector<Floats> out;
    std::vector<SpdInverse> matrices;
    for (int64_t side : kSides) a.push_back(positive(side, 5)), out.emplace_back(size_t(side * side));
    for (size_t i = 0; i < a.size(); ++i) matrices.push_back({kSides[i], a[i].data(), 2.0, 0.25, out[i].data()});
    std::vector<int64_t> pivots(a.size(), -1);
    device.ops.spd_inverse(device.threads, int(a.size()), matrices.data(), pivots.data());
    for (size_t k = 0; k < a.size(); ++k) {
        REQUIRE(pivots[k] == 0);
        for (double& entry : a[k]) entry /= 2;
        for (int64_t i = 0; i < kSides[k]; ++i) a[k][size_t(i * kSides[k] + i)] += 0.25;
        CHECK(distance_to_identity(kSides[k], a[k], out[k]) < 2e-6);
    }
}

// (u u^T + shift I)^-1 = (I - u u^T / (u^T u + shift)) / shift
TEST_CASE("cpu spd_inverse keeps the shift of a matrix of rank one, in float as in double") {
    Device device(cpu_ops(), 2);
    const int64_t side = 600;
    const Floats u = normals(size_t(side), 7);
    Doubles a(size_t(side * side));
    double square = 0;
    for (int64_t i = 0; i < side; ++i) {
        square += double(u[i]) * u[i];
        for (int64_t j = 0; j < side; ++j) a[i * side + j] = double(u[i]) * u[j];
    }
    each_isa([&] {
        for (auto [condition, bound] : {std::pair{1e2, 0x1p-12},
                                        {1e3, 0x1p-12},
                                        {1e4, 0x1p-16},  // from here on the factor is in double
                                        {2e5, 0x1p-16},
                                        {1e6, 0x1p-20},
                                        {1e9, 0x1p-20}}) {
            CAPTURE(condition);
            const double shift = square / condition;
            Floats out(a.size(), NAN);
            const SpdInverse inverse{side, a.data(), 1, shift, out.data()};
            int64_t pivot = -1;
            device.ops.spd_inverse(device.threads, 1, &inverse, &pivot);
            REQUIRE(pivot == 0);
            double worst = 0;
            for (int64_t i = 0; i < side; ++i)
                for (int64_t j = 0; j < side; ++j)
                    worst = std::max(
                        worst, std::abs(out[i * side + j] * shift - (i == j) + a[i * side + j] / (square + shift)));
            CHECK(worst < bound);
        }
    });
}

// A factor as activations make it: of positive mean, rank a tenth of the side, eigenvalues that fall. The condition is that which decides what
// is done in float: the largest sum of a row over the shift. Errors are relative, in the Frobenius norm.
TEST_CASE("cpu spd_inverse of very large and very small numbers is as exact") {
    Device device(cpu_ops(), 2);
    const int64_t side = 1153;
    Doubles a(size_t(side * side));
    for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j < side; ++j) a[i * side + j] = i == j ? 2 : 1.0 / double(2 + std::abs(i - j));
    for (double shift : {1e-2, 1e-4}) {  // a condition of 1,000 and of 100,000
        CAPTURE(shift);
        Doubles expected = a;
        REQUIRE(device.ops.cholesky(device.threads, side, expected.data(), shift) == 0);
        device.ops.cholesky_inverse(device.threads, side, expected.data());
        for (double factor : {1.0, 1e30, 1e-30}) {
            CAPTURE(factor);
            each_isa([&] {
                if (&cpu::kernels() == &cpu::kPortableKernels) return;  // takes long
                Floats out(a.size(), NAN);
                const SpdInverse inverse{side, a.data(), 1 / factor, shift * factor, out.data()};
                int64_t pivot = -1;
                device.ops.spd_inverse(device.threads, 1, &inverse, &pivot);
                REQUIRE(pivot == 0);
                double error = 0, norm = 0;
                for (size_t i = 0; i < expected.size(); ++i) {
                    error += std::pow(out[i] * factor - expected[i], 2);
                    norm += expected[i] * expected[i];
                }
                CHECK(std::sqrt(error / norm) < (cpu::kernels().multiply_bytes ? 0x1p-21 : 0x1p-16));
            });
        }
    }
}

TEST_CASE("cpu spd_inverse of a Kronecker factor: its error against double, the same bits for any number of threads") {
    for (int64_t side : {600, 1100}) {  // a thread's own, and one that they share
        CAPTURE(side);
        const int64_t rank = side / 10;
        const Floats b = normals(size_t(rank * side), 8);
        Doubles a(size_t(side * side), 0.0);
        double largest = 0;
        for (int64_t k = 0; k < rank; ++k)
            for (int64_t i = 0; i < side; ++i) {
                auto activation = [&](int64_t at) { return std::max(0.5 + b[k * side + at], 0.0) / double(1 + k); };
                const double left = activation(i);
                for (int64_t j = 0; j <= i; ++j) a[i * side + j] += left * activation(j);
            }
        for (int64_t i = 0; i < side; ++i)
            for (int64_t j = 0; j < i; ++j) a[j * side + i] = a[i * side + j];
        for (int64_t i = 0; i < side; ++i) {
            double sum = 0;
            for (int64_t j = 0; j < side; ++j) sum += a[i * side + j];
            largest = std::max(largest, sum);
        }
        for (auto [condition, bound] : {std::pair{1e3, 0x1p-16}, {3e4, 0x1p-18}, {2e5, 0x1p-18}, {1e6, 0x1p-24}}) {
            CAPTURE(condition);
            Doubles expected = a;
            {
                Device device(cpu_ops(), 2);
                REQUIRE(device.ops.cholesky(device.threads, side, expected.data(), largest / condition) == 0);
                device.ops.cholesky_inverse(device.threads, side, expected.data());
            }
            each_isa([&] {
                if (side > 1000 && &cpu::kernels() == &cpu::kPortableKernels) return;  // takes long
                Floats first;
                for (int threads : {1, 2, 3}) {
                    Device device(cpu_ops(), threads);
                    std::vector<Floats> out(3, Floats(a.size(), NAN));  // at once
                    std::vector<SpdInverse> inverses;
                    for (Floats& o : out) inverses.push_back({side, a.data(), 1, largest / condition, o.data()});
                    std::vector<int64_t> pivots(out.size(), -1);
                    device.ops.spd_inverse(device.threads, int(out.size()), inverses.data(), pivots.data());
                    if (threads == 1) first = out[0];
                    for (size_t k = 0; k < out.size(); ++k) {
                        REQUIRE(pivots[k] == 0);
                        CHECK(same_bits(out[k], first));
                    }
                }
                double error = 0, norm = 0;
                for (size_t i = 0; i < expected.size(); ++i) {
                    error += (first[i] - expected[i]) * (first[i] - expected[i]);
                    norm += expected[i] * expected[i];
                }
                CHECK(std::sqrt(error / norm) < bound);
            });
        }
    }
}

// Activations of mean 2 and variance 1, and a 1 for the bias: float inverts what is left of their factor without the mean, and adds that back.
TEST_CASE("cpu spd_inverse of a factor with a mean") {
    Device device(cpu_ops(), 2);
    for (int64_t side : {601, 1101}) {
        CAPTURE(side);
        const int64_t samples = side / 2;
        Floats x = normals(size_t(samples * side), 9);
        for (int64_t n = 0; n < samples; ++n)
            for (int64_t i = 0; i < side; ++i) x[n * side + i] = i + 1 < side ? 2 + x[n * side + i] : 1;
        Doubles a(size_t(side * side), 0.0);
        for (int64_t i = 0; i < side; ++i)
            for (int64_t n = 0; n < samples; ++n)
                for (int64_t j = 0; j < side; ++j) a[i * side + j] += double(x[n * side + i]) * x[n * side + j];
        for (auto [condition, bound] :
             {std::pair{1e4, 0x1p-18}, {1e5, 0x1p-15}, {1e6, 0x1p-24}}) {  // the last in double
            CAPTURE(condition);
            const double shift = 4 * double(side * samples) / condition;
            Doubles expected = a;
            REQUIRE(device.ops.cholesky(device.threads, side, expected.data(), shift) == 0);
            device.ops.cholesky_inverse(device.threads, side, expected.data());
            each_isa([&] {
                if (side > 1000 && &cpu::kernels() == &cpu::kPortableKernels) return;  // takes long
                Floats out(a.size(), NAN);
                const SpdInverse inverse{side, a.data(), 1, shift, out.data()};
                int64_t pivot = -1;
                device.ops.spd_inverse(device.threads, 1, &inverse, &pivot);
                REQUIRE(pivot == 0);
                double error = 0, norm = 0;
                for (size_t i = 0; i < expected.size(); ++i) {
                    error += std::pow(out[i] - expected[i], 2);
                    norm += expected[i] * expected[i];
                }
                CHECK(std::sqrt(error / norm) < bound);
            });
        }
    }
}

TEST_CASE("cpu eigenvectors are orthonormal rows that diagonalise") {
    Device device(cpu_ops());
    for (int64_t side : kSides) {
        CAPTURE(side);
        const Doubles a = positive(side, 9);
        Doubles vectors = a, values(size_t(side), NAN), single_values(size_t(side), NAN);
        Floats single(a.size());
        REQUIRE(device.ops.eigen(device.threads, side, vectors.data(), values.data()) == 0);
        const SymmetricEigen eigen{side, a.data(), 2.0, single.data(), single_values.data()};
        int64_t info = -1;
        device.ops.symmetric_eigen(device.threads, 1, &eigen, &info);
        REQUIRE(info == 0);
        double worst = 0, single_worst = 0;
        for (int64_t v = 0; v < side; ++v)
            for (int64_t i = 0; i < side; ++i) {
                double sum = -values[v] * vectors[v * side + i],
                       single_sum = -2 * single_values[v] * single[v * side + i];
                for (int64_t k = 0; k < side; ++k) {
                    sum += a[i * side + k] * vectors[v * side + k];
                    single_sum += a[i * side + k] * single[v * side + k];
                }
                worst = std::max(worst, std::abs(sum));
                single_worst = std::max(single_worst, std::abs(single_sum));
            }
        CHECK(worst < 1e-11 * values[side - 1]);
        CHECK(single_worst < 1e-6 * values[side - 1]);
        CHECK(std::is_sorted(values.begin(), values.end()));
        Doubles transposed(vectors.size());
        for (int64_t i = 0; i < side; ++i)
            for (int64_t k = 0; k < side; ++k) transposed[k * side + i] = vectors[i * side + k];
        CHECK(distance_to_identity(side, vectors, transposed) < 1e-12);
    }
}

}  // namespace lqf::testing
