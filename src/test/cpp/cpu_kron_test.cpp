#include "cpu_testing.h"

namespace lqf::testing {
namespace {

using Doubles = std::vector<double>;

Conv2d conv(int n, int ic, int ih, int iw, int oc, int kh, int kw, int stride, int pad) {
    return {n, ic, ih, iw, oc, (ih + 2 * pad - kh) / stride + 1, (iw + 2 * pad - kw) / stride + 1, kh, kw, stride, pad};
}

const Conv2d kShapes[] = {
    conv(3, 1, 1, 1, 1, 1, 1, 1, 0),   conv(3, 33, 1, 1, 17, 1, 1, 1, 0), conv(2, 3, 5, 7, 13, 3, 3, 1, 1),
    conv(3, 16, 6, 6, 16, 3, 3, 1, 1), conv(1, 35, 5, 4, 40, 3, 3, 1, 1), conv(2, 17, 7, 6, 5, 3, 3, 2, 1),
    conv(1, 7, 6, 6, 33, 1, 1, 2, 0),  conv(1, 3, 9, 8, 6, 7, 7, 2, 3),   conv(2, 6, 3, 3, 4, 5, 3, 1, 2)};

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

Factors run(Device& d, const Conv2d& c, bool reduce, const Floats& x, const Floats& y_bar) {
    Factors f{start(c.patch() + 1), start(c.oc)};
    const Floats in = d.in_layout(c.n, c.ic, c.ih, c.iw, x), out = d.in_layout(c.n, c.oc, c.oh, c.ow, y_bar);
    d.ops.kron_input(d.threads, c, in.data(), reduce, f.input.data());
    d.ops.kron_output(d.threads, c, out.data(), reduce, f.output.data(), 0);
    return f;
}

}  // namespace

TEST_CASE("cpu Kronecker factors agree with the reference") {
    Device reference(reference_ops());
    for (const Conv2d& c : kShapes) {
        CAPTURE(c.ic);
        CAPTURE(c.oc);
        for (bool reduce : {false, true}) {
            CAPTURE(reduce);
            const size_t in = size_t(c.n) * c.ic * c.ih * c.iw, out = size_t(c.n) * c.oc * c.oh * c.ow;
            const Floats x = normals(in, 1), y_bar = normals(out, 2);
            const Floats integer_x = integers(in, 1), integer_y = integers(out, 2);
            const Factors expected = run(reference, c, reduce, x, y_bar),
                          exact = run(reference, c, reduce, integer_x, integer_y);
            each_isa([&] {
                Device device(cpu_ops(), 2);
                const Factors f = run(device, c, reduce, x, y_bar);
                check_close(f.input, expected.input, double(c.oh) * c.ow);
                check_close(f.output, expected.output, double(c.oh) * c.ow);
                if (!reduce) CHECK(same_values(run(device, c, reduce, integer_x, integer_y).input, exact.input));
            });
        }
    }
}

TEST_CASE("cpu Kronecker factors are symmetric and give the same bits for any threads and any split of the batch") {
    const Conv2d c = conv(3, 35, 6, 6, 40, 3, 3, 1, 1);
    const size_t in = size_t(c.ic) * c.ih * c.iw, out = size_t(c.oc) * c.oh * c.ow;
    const Floats x = normals(3 * in, 1), y_bar = normals(3 * out, 2);
    each_isa([&] {
        for (bool reduce : {false, true}) {
            Device one(cpu_ops(), 1), three(cpu_ops(), 3);
            const Factors expected = run(one, c, reduce, x, y_bar), other = run(three, c, reduce, x, y_bar);
            CHECK(same_bits(other.input, expected.input));
            CHECK(same_bits(other.output, expected.output));
            const int64_t stride = c.oc * c.oc + 3;
            Doubles apart(size_t(3 * stride)), sum = start(c.oc);
            const Floats y = three.in_layout(3, c.oc, c.oh, c.ow, y_bar);
            three.ops.kron_output(three.threads, c, y.data(), reduce, apart.data(), stride);
            three.ops.add_doubles(three.threads, c.oc * c.oc, 3, apart.data(), stride, sum.data());
            CHECK(same_bits(sum, expected.output));
            Factors split{start(c.patch() + 1), start(c.oc)};
            for (size_t i = 0; i < 3; ++i) {
                Conv2d part = c;
                part.n = 1;
                const Floats xi =
                    one.in_layout(1, c.ic, c.ih, c.iw, Floats(x.begin() + in * i, x.begin() + in * (i + 1)));
                const Floats yi =
                    one.in_layout(1, c.oc, c.oh, c.ow, Floats(y_bar.begin() + out * i, y_bar.begin() + out * (i + 1)));
                one.ops.kron_input(one.threads, part, xi.data(), reduce, split.input.data());
                one.ops.kron_output(one.threads, part, yi.data(), reduce, split.output.data(), 0);
            }
            CHECK(same_bits(split.input, expected.input));
            CHECK(same_bits(split.output, expected.output));
            bool symmetric = true;
            const int64_t side = c.patch() + 1;
            for (int64_t i = 0; i < side; ++i)
                for (int64_t j = 0; j < i; ++j)
                    symmetric = symmetric && expected.input[i * side + j] == expected.input[j * side + i];
            CHECK(symmetric);
        }
    });
}

TEST_CASE("cpu preconditioning agrees with the reference") {
    Device reference(reference_ops()), device(cpu_ops(), 2);
    // [weights 3 x 4, gap, bias 3, weights 33 x 16, bias 33]: in front, behind and between are entries of frozen layers
    const int64_t kParameters = 700;
    const Floats gradient = normals(size_t(kParameters), 1);
    for (bool exact : {false, true}) {
        CAPTURE(exact);
        std::vector<Floats> matrices;
        std::vector<Doubles> values;
        std::vector<KronLayer> layers{{3, 5, 2, 20, nullptr, nullptr, nullptr, nullptr, nullptr},
                                      {33, 17, 40, 600, nullptr, nullptr, nullptr, nullptr, nullptr}};
        matrices.reserve(6), values.reserve(4);
        auto floats = [&](int64_t side) { return matrices.emplace_back(normals(size_t(side * side), 2)).data(); };
        auto doubles = [&](int64_t side) {
            const Floats v = normals(size_t(side), 3);  // negative ones count as zero
            return values.emplace_back(v.begin(), v.end()).data();
        };
        for (KronLayer& layer : layers) {
            layer.left = floats(layer.oc), layer.right = floats(layer.in1);
            if (exact) layer.left_values = doubles(layer.oc), layer.right_values = doubles(layer.in1);
            layer.scratch = matrices.emplace_back(size_t(2 * layer.oc * layer.in1)).data();
        }
        Floats expected(size_t(kParameters), 0.0f), step = expected;
        reference.ops.kron_precondition(reference.threads, 2, layers.data(), 0.5, gradient.data(), expected.data());
        device.ops.kron_precondition(device.threads, 2, layers.data(), 0.5, gradient.data(), step.data());
        check_close(step, expected, 50);
        for (size_t frozen : {0, 1, 14, 19, 23, 39, 568, 633}) CHECK(step[frozen] == 0);
    }
}

}  // namespace lqf::testing
