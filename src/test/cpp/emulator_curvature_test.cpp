// Curvature and dense linear algebra of the device kernels, run by the emulator, against the reference table.
#include <algorithm>

#include "cpu_testing.h"
#include "lqf.h"

extern "C" int32_t lqf_device_ops(int32_t version, uint64_t ops_bytes, const lqf::Ops** ops, char* text,
                                  int64_t capacity);

namespace lqf::testing {
namespace {

using Doubles = std::vector<double>;

// A table whose memory is its own.
class Emulator {
public:
    const Ops& ops = table();
    Threads threads{1};

    static const Ops& table() {
        const Ops* ops = nullptr;
        char text[512] = "";
        REQUIRE_MESSAGE(lqf_device_ops(kOpsVersion, sizeof(Ops), &ops, text, sizeof text) == LQF_OK, text);
        return *ops;
    }

    template <class T>
    class Array {
    public:
        Array(const Ops& ops, const std::vector<T>& values)
            : ops_(ops), count_(values.size()), data_(static_cast<T*>(ops.allocate(count_ * sizeof(T)))) {
            ops_.copy_in(data_, values.data(), count_ * sizeof(T));
        }
        ~Array() { ops_.release(data_); }
        Array(const Array&) = delete;
        T* data() const { return data_; }
        std::vector<T> read() const {
            std::vector<T> values(count_);
            ops_.copy_out(values.data(), data_, count_ * sizeof(T));
            return values;
        }

    private:
        const Ops& ops_;
        size_t count_;
        T* data_;
    };
    template <class T>
    Array<T> array(const std::vector<T>& values) const {
        return Array<T>(ops, values);
    }
    // [n, c, h, w] in the layout of the table.
    Floats in_layout(int n, int c, int h, int w, const Floats& plain) {
        const int b = ops.channel_block;
        const Array<float> x(ops, Floats(size_t(n) * size_t((c + b - 1) / b * b) * size_t(h) * size_t(w), NAN));
        const Array<float> images(ops, plain);
        ops.import_images(threads, n, c, h, w, images.data(), x.data());
        return x.read();
    }
};

Conv2d conv(int n, int ic, int ih, int iw, int oc, int kh, int kw, int stride, int pad) {
    return {n, ic, ih, iw, oc, (ih + 2 * pad - kh) / stride + 1, (iw + 2 * pad - kw) / stride + 1, kh, kw, stride, pad};
}

// One pixel, ragged channels, more than a tile of quads, strides, kernels beyond the image, several parts of positions.
const Conv2d kShapes[] = {conv(3, 1, 1, 1, 1, 1, 1, 1, 0),   conv(3, 33, 1, 1, 17, 1, 1, 1, 0),
                          conv(2, 3, 5, 7, 13, 3, 3, 1, 1),  conv(3, 16, 6, 6, 16, 3, 3, 1, 1),
                          conv(1, 35, 5, 4, 70, 3, 3, 1, 1), conv(2, 17, 7, 6, 5, 3, 3, 2, 1),
                          conv(1, 7, 6, 6, 33, 1, 1, 2, 0),  conv(1, 3, 9, 8, 6, 7, 7, 2, 3),
                          conv(2, 6, 3, 3, 4, 5, 3, 1, 2),   conv(2, 3, 29, 31, 9, 3, 3, 1, 1)};

// A symmetric start, so that "accumulates" is seen.
Doubles start(int64_t side) {
    Doubles m(size_t(side * side));
    for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j < side; ++j) m[size_t(i * side + j)] = double((i + j) % 5);
    return m;
}

struct Factors {
    Doubles input, output;
};

Factors run_reference(const Conv2d& c, bool reduce, const Floats& x, const Floats& y_bar) {
    Device d(reference_ops());
    Factors f{start(c.patch() + 1), start(c.oc)};
    d.ops.kron_input(d.threads, c, x.data(), reduce, f.input.data());
    d.ops.kron_output(d.threads, c, y_bar.data(), reduce, f.output.data(), 0);
    return f;
}

Factors run_emulator(Emulator& e, const Conv2d& c, bool reduce, const Floats& x, const Floats& y_bar) {
    const auto input = e.array(start(c.patch() + 1)), output = e.array(start(c.oc));
    const auto in = e.array(e.in_layout(c.n, c.ic, c.ih, c.iw, x)),
               out = e.array(e.in_layout(c.n, c.oc, c.oh, c.ow, y_bar));
    e.ops.kron_input(e.threads, c, in.data(), reduce, input.data());
    e.ops.kron_output(e.threads, c, out.data(), reduce, output.data(), 0);
    return {input.read(), output.read()};
}

bool is_symmetric(int64_t side, const Doubles& m) {
    for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j < i; ++j)
            if (m[size_t(i * side + j)] != m[size_t(j * side + i)]) return false;
    return true;
}

// B B^T / side + I / 2 of a random B.
Doubles positive(int64_t side, unsigned seed) {
    const Floats b = normals(size_t(side * side), seed);
    Doubles a(size_t(side * side));
    for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j <= i; ++j) {
            double sum = 0;
            for (int64_t k = 0; k < side; ++k) sum += double(b[i * side + k]) * b[j * side + k];
            a[i * side + j] = a[j * side + i] = sum / double(side) + (i == j ? 0.5 : 0);
        }
    return a;
}

// B B^T of a random B [side, rank]: most eigenvalues are zero, as those of a factor of few images.
Doubles low_rank(int64_t side, int64_t rank, unsigned seed) {
    const Floats b = normals(size_t(side * rank), seed);
    Doubles a(size_t(side * side));
    for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j <= i; ++j) {
            double sum = 0;
            for (int64_t k = 0; k < rank; ++k) sum += double(b[i * rank + k]) * b[j * rank + k];
            a[i * side + j] = a[j * side + i] = sum;
        }
    return a;
}

// max |a b - I| over some columns of b
template <class B>
double distance_to_identity(int64_t side, const Doubles& a, const std::vector<B>& b) {
    double most = 0;
    const int64_t step = std::max<int64_t>(1, side / 40);
    for (int64_t i = 0; i < side; ++i)
        for (int64_t j = 0; j < side; j += step) {
            double sum = i == j ? -1 : 0;
            for (int64_t k = 0; k < side; ++k) sum += a[i * side + k] * double(b[k * side + j]);
            most = std::max(most, std::abs(sum));
        }
    return most;
}

double relative_error(const Doubles& a, const Doubles& expected) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        difference += (a[i] - expected[i]) * (a[i] - expected[i]);
        norm += expected[i] * expected[i];
    }
    return std::sqrt(difference / norm);
}

// What was added to start(side).
Doubles added(int64_t side, Doubles m) {
    const Doubles before = start(side);
    for (size_t i = 0; i < m.size(); ++i) m[i] -= before[i];
    return m;
}

const int64_t kSides[] = {1, 2, 17, 64, 65, 128, 200};

}  // namespace

TEST_CASE("emulator Kronecker factors agree with the reference") {
    Emulator e;
    for (const Conv2d& c : kShapes) {
        CAPTURE(c.ic);
        CAPTURE(c.oc);
        for (bool reduce : {false, true}) {
            CAPTURE(reduce);
            const size_t in = size_t(c.n) * c.ic * c.ih * c.iw, out = size_t(c.n) * c.oc * c.oh * c.ow;
            const Floats x = normals(in, 1), y_bar = normals(out, 2);
            const Factors expected = run_reference(c, reduce, x, y_bar), f = run_emulator(e, c, reduce, x, y_bar);
            const int64_t side = c.patch() + 1;
            check_close(added(side, f.input), added(side, expected.input), double(c.oh) * c.ow);
            check_close(added(c.oc, f.output), added(c.oc, expected.output), double(c.oh) * c.ow);
            CHECK(is_symmetric(side, f.input));
            CHECK(is_symmetric(c.oc, f.output));
            if (reduce) continue;
            const Floats integer_x = integers(in, 1), integer_y = integers(out, 2);
            CHECK(same_values(run_emulator(e, c, reduce, integer_x, integer_y).input,
                              run_reference(c, reduce, integer_x, integer_y).input));
        }
    }
}

TEST_CASE("emulator Kronecker factors have the same bits for any split of the batch") {
    Emulator e;
    const Conv2d c = conv(3, 35, 6, 6, 40, 3, 3, 1, 1);
    const size_t in = size_t(c.ic) * c.ih * c.iw, out = size_t(c.oc) * c.oh * c.ow;
    const Floats x = normals(3 * in, 1), y_bar = normals(3 * out, 2);
    for (bool reduce : {false, true}) {
        const Factors expected = run_emulator(e, c, reduce, x, y_bar);
        const auto input = e.array(start(c.patch() + 1)), output = e.array(start(c.oc)), sum = e.array(start(c.oc));
        Conv2d one = c;
        one.n = 1;
        for (size_t i = 0; i < 3; ++i) {
            const auto xi =
                e.array(e.in_layout(1, c.ic, c.ih, c.iw, Floats(x.begin() + in * i, x.begin() + in * (i + 1))));
            const auto yi = e.array(
                e.in_layout(1, c.oc, c.oh, c.ow, Floats(y_bar.begin() + out * i, y_bar.begin() + out * (i + 1))));
            e.ops.kron_input(e.threads, one, xi.data(), reduce, input.data());
            e.ops.kron_output(e.threads, one, yi.data(), reduce, output.data(), 0);
        }
        CHECK(same_bits(input.read(), expected.input));
        CHECK(same_bits(output.read(), expected.output));
        const int64_t stride = c.oc * c.oc + 3;
        const auto apart = e.array(Doubles(size_t(3 * stride), 0.0));
        const auto y = e.array(e.in_layout(3, c.oc, c.oh, c.ow, y_bar));
        e.ops.kron_output(e.threads, c, y.data(), reduce, apart.data(), stride);
        e.ops.add_doubles(e.threads, c.oc * c.oc, 3, apart.data(), stride, sum.data());
        CHECK(same_bits(sum.read(), expected.output));
    }
}

TEST_CASE("emulator preconditioning agrees with the reference") {
    Emulator e;
    Device reference(reference_ops());
    // layers with gaps of frozen entries between them, the middle one of several tiles
    const int64_t kSizes[][2] = {{3, 5}, {130, 67}, {33, 17}};
    const int64_t kParameters = 11000;
    const Floats gradient = normals(size_t(kParameters), 1);
    for (bool exact : {false, true}) {
        CAPTURE(exact);
        std::vector<std::unique_ptr<Emulator::Array<float>>> on_device;
        std::vector<std::unique_ptr<Emulator::Array<double>>> values_on_device;
        std::vector<std::unique_ptr<Floats>> on_host;
        std::vector<std::unique_ptr<Doubles>> values_on_host;
        std::vector<KronLayer> layers, reference_layers;
        int64_t at = 2;
        for (auto [oc, in1] : kSizes) {
            KronLayer l{oc, in1, at, at + oc * (in1 - 1) + 3, nullptr, nullptr, nullptr, nullptr, nullptr}, r = l;
            at = l.bias_offset + oc + 5;
            auto floats = [&](int64_t count, const float*& device, const float*& host) {
                on_host.push_back(std::make_unique<Floats>(normals(size_t(count), 2)));
                on_device.push_back(std::make_unique<Emulator::Array<float>>(e.ops, *on_host.back()));
                device = on_device.back()->data(), host = on_host.back()->data();
            };
            auto doubles = [&](int64_t count, const double*& device, const double*& host) {
                const Floats v = normals(size_t(count), 3);  // negative ones count as zero
                values_on_host.push_back(std::make_unique<Doubles>(v.begin(), v.end()));
                values_on_device.push_back(std::make_unique<Emulator::Array<double>>(e.ops, *values_on_host.back()));
                device = values_on_device.back()->data(), host = values_on_host.back()->data();
            };
            floats(oc * oc, l.left, r.left);
            floats(in1 * in1, l.right, r.right);
            if (exact) {
                doubles(oc, l.left_values, r.left_values);
                doubles(in1, l.right_values, r.right_values);
            }
            const float *device, *host;
            floats(2 * oc * in1, device, host);
            l.scratch = const_cast<float*>(device), r.scratch = const_cast<float*>(host);
            layers.push_back(l), reference_layers.push_back(r);
        }
        REQUIRE(at < kParameters);
        Floats expected(size_t(kParameters), 0.0f);
        reference.ops.kron_precondition(reference.threads, 3, reference_layers.data(), 0.5, gradient.data(),
                                        expected.data());
        const auto g = e.array(gradient), step = e.array(Floats(size_t(kParameters), 0.0f));
        e.ops.kron_precondition(e.threads, 3, layers.data(), 0.5, g.data(), step.data());
        check_close(step.read(), expected, 200);
        CHECK(step.read()[1] == 0);
        CHECK(step.read()[size_t(at - 3)] == 0);
    }
}

TEST_CASE("emulator gram agrees with the reference") {
    Emulator e;
    Device reference(reference_ops());
    for (auto [rows, columns, length] : {std::tuple{1, 1, 1}, {5, 7, 4100}, {70, 65, 33}, {3, 64, 9000}}) {
        CAPTURE(length);
        const Floats a = normals(size_t(rows) * length, 1), b = normals(size_t(columns) * length, 2);
        const int64_t stride = std::max(rows, columns) + 2;
        Doubles expected(size_t(rows * stride), -1.0), mirrored(size_t(columns * stride), -1.0);
        const auto out = e.array(expected), mirror = e.array(mirrored);
        const auto da = e.array(a), db = e.array(b);
        reference.ops.gram(reference.threads, rows, columns, length, a.data(), b.data(), false, expected.data(),
                           mirrored.data(), stride);
        e.ops.gram(e.threads, rows, columns, length, da.data(), db.data(), false, out.data(), mirror.data(), stride);
        check_close(out.read(), expected, length);
        check_close(mirror.read(), mirrored, length);
    }
    const int64_t rows = 130;
    const auto a = e.array(normals(size_t(rows) * 90, 1));
    const auto whole = e.array(Doubles(size_t(rows * rows)));
    e.ops.gram(e.threads, rows, rows, 90, a.data(), a.data(), false, whole.data(), whole.data(), rows);
    Doubles expected(size_t(rows * rows));
    const Floats host = a.read();
    reference.ops.gram(reference.threads, rows, rows, 90, host.data(), host.data(), false, expected.data(), nullptr,
                       rows);
    check_close(whole.read(), expected, 90);
    CHECK(is_symmetric(rows, whole.read()));
}

TEST_CASE("emulator sums of doubles and trace agree with the reference") {
    Emulator e;
    const auto x = e.array(Doubles{1, 2, 3, 4, 5, 6}), y = e.array(Doubles{10, 20});
    e.ops.scale_doubles(e.threads, 6, 0.5, x.data());
    e.ops.add_doubles(e.threads, 2, 2, x.data(), 3, y.data());
    CHECK(y.read() == Doubles{10 + 0.5 + 2, 20 + 1 + 2.5});
    const int64_t side = 300;
    Device reference(reference_ops());
    const Doubles m = positive(side, 1);
    CHECK(e.ops.trace(e.threads, side, e.array(m).data(), 3) ==
          doctest::Approx(reference.ops.trace(reference.threads, side, m.data(), 3)).epsilon(1e-14));
}

TEST_CASE("emulator Cholesky factors, solves and inverts") {
    Emulator e;
    for (int64_t side : kSides) {
        CAPTURE(side);
        const Doubles a = positive(side, unsigned(side));
        const int64_t columns = side == 65 ? 70 : 3;
        const Floats right = normals(size_t(side * columns), 3);
        Doubles input = a;
        for (int64_t i = 0; i < side; ++i)
            for (int64_t j = i + 1; j < side; ++j) input[size_t(i * side + j)] = NAN;  // is not read
        for (int64_t i = 0; i < side; ++i) input[size_t(i * side + i)] -= 0.25;
        const auto l = e.array(input);
        REQUIRE(e.ops.cholesky(e.threads, side, l.data(), 0.25) == 0);
        const auto x = e.array(Doubles(right.begin(), right.end()));
        e.ops.cholesky_solve(e.threads, side, l.data(), columns, x.data());
        const Doubles solution = x.read();
        double worst = 0;
        for (int64_t i = 0; i < side; ++i)
            for (int64_t c = 0; c < columns; ++c) {
                double sum = -double(right[size_t(i * columns + c)]);
                for (int64_t k = 0; k < side; ++k) sum += a[size_t(i * side + k)] * solution[size_t(k * columns + c)];
                worst = std::max(worst, std::abs(sum));
            }
        CHECK(worst < 1e-11);
        e.ops.cholesky_inverse(e.threads, side, l.data());
        const Doubles inverse = l.read();
        CHECK(distance_to_identity(side, a, inverse) < 1e-11);
        CHECK(is_symmetric(side, inverse));
    }
}

TEST_CASE("emulator Cholesky names the pivot that fails") {
    Emulator e;
    const int64_t side = 150;
    for (auto [bad, pivot] :
         {std::pair{0, -1.0}, {63, -1.0}, {64, -1.0}, {149, -1.0}, {70, std::nan("")}, {100, INFINITY}}) {
        Doubles a(size_t(side * side));
        for (int64_t i = 0; i < side; ++i) a[size_t(i * side + i)] = i == bad ? pivot : 1;
        CHECK(e.ops.cholesky(e.threads, side, e.array(a).data(), 0.25) == bad + 1);
    }
}

TEST_CASE("emulator spd_inverse inverts many matrices at once and says which fail") {
    Emulator e;
    std::vector<Doubles> matrices;
    std::vector<std::unique_ptr<Emulator::Array<double>>> a;
    std::vector<std::unique_ptr<Emulator::Array<float>>> out;
    std::vector<SpdInverse> problems;
    for (int64_t side = 70; side > 30; --side) {  // more than go together
        matrices.push_back(positive(side, 5));
        if (side == 50) matrices.back()[33 * 50 + 33] = -1;
        a.push_back(std::make_unique<Emulator::Array<double>>(e.ops, matrices.back()));
        out.push_back(std::make_unique<Emulator::Array<float>>(e.ops, Floats(size_t(side * side))));
        problems.push_back({side, a.back()->data(), 2.0, 0.25, out.back()->data()});
    }
    std::vector<int64_t> pivots(problems.size(), -1);
    e.ops.spd_inverse(e.threads, int(problems.size()), problems.data(), pivots.data());
    for (size_t k = 0; k < problems.size(); ++k) {
        const int64_t side = problems[k].side;
        CAPTURE(side);
        REQUIRE(pivots[k] == (side == 50 ? 34 : 0));
        if (side == 50) continue;
        for (double& entry : matrices[k]) entry /= 2;
        for (int64_t i = 0; i < side; ++i) matrices[k][size_t(i * side + i)] += 0.25;
        CHECK(distance_to_identity(side, matrices[k], out[k]->read()) < 2e-6);
    }
}

TEST_CASE("emulator inverts a damped factor of side 512") {
    Emulator e;
    const int64_t side = 512;
    Doubles m = low_rank(side, 64, 7);
    const double damping = 1e-2;
    const auto a = e.array(m);
    const auto out = e.array(Floats(size_t(side * side)));
    const SpdInverse problem{side, a.data(), 64.0, damping, out.data()};
    int64_t pivot = -1;
    e.ops.spd_inverse(e.threads, 1, &problem, &pivot);
    REQUIRE(pivot == 0);
    for (double& entry : m) entry /= 64;
    for (int64_t i = 0; i < side; ++i) m[size_t(i * side + i)] += damping;
    CHECK(distance_to_identity(side, m, out.read()) < 1e-4);  // 1 / damping of float's rounding, times the sums
}

TEST_CASE("emulator eigenvectors are orthonormal rows that diagonalise") {
    Emulator e;
    for (int64_t side : {1, 2, 17, 32, 33, 100, 130})
        for (bool singular : {false, true}) {
            CAPTURE(side);
            CAPTURE(singular);
            const Doubles a = singular ? low_rank(side, side / 4 + 1, 9) : positive(side, 9);
            const auto rows = e.array(a);
            const auto values_on_device = e.array(Doubles(size_t(side), NAN));
            REQUIRE(e.ops.eigen(e.threads, side, rows.data(), values_on_device.data()) == 0);
            const Doubles vectors = rows.read(), values = values_on_device.read();
            double worst = 0;
            for (int64_t v = 0; v < side; ++v)
                for (int64_t i = 0; i < side; ++i) {
                    double sum = -values[size_t(v)] * vectors[size_t(v * side + i)];
                    for (int64_t k = 0; k < side; ++k) sum += a[size_t(i * side + k)] * vectors[size_t(v * side + k)];
                    worst = std::max(worst, std::abs(sum));
                }
            CHECK(worst < 1e-12 * values[size_t(side - 1)]);
            CHECK(std::is_sorted(values.begin(), values.end()));
            Doubles transposed(vectors.size());
            for (int64_t i = 0; i < side; ++i)
                for (int64_t k = 0; k < side; ++k) transposed[size_t(k * side + i)] = vectors[size_t(i * side + k)];
            CHECK(distance_to_identity(side, vectors, transposed) < 1e-12);
        }
}

TEST_CASE("emulator symmetric_eigen decomposes many matrices at once and says which are not finite") {
    Emulator e;
    std::vector<Doubles> matrices;
    std::vector<std::unique_ptr<Emulator::Array<double>>> a, values;
    std::vector<std::unique_ptr<Emulator::Array<float>>> vectors;
    std::vector<SymmetricEigen> problems;
    for (int64_t side : {70, 33, 16, 16, 5, 1}) {
        matrices.push_back(positive(side, unsigned(side)));
        if (side == 33) matrices.back()[5] = NAN;
        a.push_back(std::make_unique<Emulator::Array<double>>(e.ops, matrices.back()));
        values.push_back(std::make_unique<Emulator::Array<double>>(e.ops, Doubles(size_t(side))));
        vectors.push_back(std::make_unique<Emulator::Array<float>>(e.ops, Floats(size_t(side * side))));
        problems.push_back({side, a.back()->data(), 2.0, vectors.back()->data(), values.back()->data()});
    }
    std::vector<int64_t> failures(problems.size(), -1);
    e.ops.symmetric_eigen(e.threads, int(problems.size()), problems.data(), failures.data());
    for (size_t k = 0; k < problems.size(); ++k) {
        const int64_t side = problems[k].side;
        REQUIRE(failures[k] == (side == 33 ? 1 : 0));
        if (side == 33) continue;
        const Doubles value = values[k]->read();
        const Floats vector = vectors[k]->read();
        double worst = 0;
        for (int64_t v = 0; v < side; ++v)
            for (int64_t i = 0; i < side; ++i) {
                double sum = -2 * value[size_t(v)] * vector[size_t(v * side + i)];
                for (int64_t j = 0; j < side; ++j)
                    sum += matrices[k][size_t(i * side + j)] * vector[size_t(v * side + j)];
                worst = std::max(worst, std::abs(sum));
            }
        CHECK(worst < 1e-6 * value[size_t(side - 1)]);
    }
}

// Minutes. lqf_tests --no-skip -tc='nightly*' prints a table of the errors: bench/results/emulator-curvature.csv.
TEST_CASE("nightly: emulator errors of large Kronecker factors" * doctest::skip()) {
    Emulator e;
    std::printf("op,shape,error,measure\n");
    for (const Conv2d& c : {conv(2, 64, 56, 56, 64, 3, 3, 1, 1), conv(2, 128, 28, 28, 128, 3, 3, 1, 1),
                            conv(2, 3, 112, 112, 64, 7, 7, 2, 3), conv(2, 64, 32, 32, 64, 1, 1, 1, 0)}) {
        const Floats x = normals(size_t(c.n) * c.ic * c.ih * c.iw, 1),
                     y_bar = normals(size_t(c.n) * c.oc * c.oh * c.ow, 2);
        const Factors expected = run_reference(c, false, x, y_bar), f = run_emulator(e, c, false, x, y_bar);
        auto error = [](int64_t side, const Doubles& sum, const Doubles& truth) {
            return relative_error(added(side, sum), added(side, truth));
        };
        const double input = error(c.patch() + 1, f.input, expected.input),
                     output = error(c.oc, f.output, expected.output);
        std::printf("kron_input,%dx%dx%dx%d kernel %dx%d stride %d,%.2e,relative L2 to double\n", c.n, c.ic, c.ih, c.iw,
                    c.kh, c.kw, c.stride, input);
        std::printf("kron_output,%dx%dx%dx%d,%.2e,relative L2 to double\n", c.n, c.oc, c.oh, c.ow, output);
        CHECK(input < 2e-6);
        CHECK(output < 2e-6);
        std::fflush(stdout);
    }
}

TEST_CASE("nightly: emulator errors of inverses of Kronecker factors" * doctest::skip()) {
    Emulator e;
    for (int64_t side : {577, 1153, 2305, 4609}) {
        Doubles m = low_rank(side, 64, 7);
        const double damping = 1e-2;
        const auto a = e.array(m);
        const auto out = e.array(Floats(size_t(side * side)));
        const SpdInverse problem{side, a.data(), 64.0, damping, out.data()};
        int64_t pivot = -1;
        e.ops.spd_inverse(e.threads, 1, &problem, &pivot);
        REQUIRE(pivot == 0);
        for (double& entry : m) entry /= 64;
        for (int64_t i = 0; i < side; ++i) m[size_t(i * side + i)] += damping;
        const double error = distance_to_identity(side, m, out.read());
        const double largest = (std::sqrt(double(side)) + 8) * (std::sqrt(double(side)) + 8) / 64;  // eigenvalue, about
        std::printf("spd_inverse,%lld condition %.0f,%.2e,max |A X - I| of 40 columns\n", (long long)side,
                    (largest + damping) / damping, error);
        CHECK(error < 1e-3);
        std::fflush(stdout);
    }
}

}  // namespace lqf::testing
