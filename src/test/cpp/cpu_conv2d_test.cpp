#include "cpu/winograd.h"
#include "cpu_testing.h"

namespace lqf::testing {
namespace {

Conv2d conv(int n, int ic, int ih, int iw, int oc, int kh, int kw, int stride, int pad) {
    return {n, ic, ih, iw, oc, (ih + 2 * pad - kh) / stride + 1, (iw + 2 * pad - kw) / stride + 1, kh, kw, stride, pad};
}

std::vector<Conv2d> awkward_shapes() {
    return {
        conv(1, 1, 1, 1, 1, 1, 1, 1, 0),
        conv(3, 17, 1, 1, 10, 1, 1, 1, 0),
        conv(5, 64, 1, 1, 33, 1, 1, 1, 0),
        conv(1, 3, 5, 7, 13, 3, 3, 1, 1),
        conv(3, 16, 8, 8, 16, 3, 3, 1, 1),
        conv(2, 33, 7, 7, 64, 3, 3, 1, 1),
        conv(1, 64, 4, 33, 17, 3, 3, 1, 1),
        conv(2, 7, 9, 5, 16, 3, 3, 2, 1),
        conv(1, 16, 8, 8, 33, 3, 3, 2, 1),
        conv(2, 17, 8, 6, 7, 1, 1, 2, 0),
        conv(2, 17, 7, 5, 32, 1, 1, 1, 0),
        conv(1, 3, 17, 15, 20, 7, 7, 2, 3),
        conv(2, 3, 75, 70, 40, 7, 7, 2, 3),
        conv(1, 1, 6, 40, 16, 2, 7, 2, 1),
        conv(1, 4, 9, 33, 33, 5, 7, 2, 0),
        conv(1, 13, 9, 11, 5, 5, 3, 1, 2),
        conv(2, 16, 10, 10, 16, 5, 5, 3, 2),
        conv(1, 7, 2, 3, 3, 5, 5, 1, 2),
        conv(2, 3, 1, 1, 4, 3, 3, 1, 1),
        conv(1, 18, 3, 3, 17, 3, 3, 1, 0),
        conv(1, 5, 6, 6, 6, 2, 2, 3, 0),
        conv(1, 40, 30, 31, 48, 3, 3, 1, 1),
        conv(2, 4, 5, 5, 3, 3, 3, 1, 3),
        conv(1, 6, 1, 1, 2, 1, 1, 2, 0),
        conv(1, 5, 4, 4, 6, 1, 1, 3, 1),
        conv(5, 17, 4, 3, 20, 4, 3, 1, 0),
        conv(2, 3, 5, 5, 40, 5, 5, 2, 0),
        conv(2, 48, 11, 9, 33, 3, 3, 1, 0),
        conv(1, 20, 6, 7, 64, 3, 3, 1, 2),
        // Channels in whole blocks, as the matrix unit takes them: by bands and pixel by pixel, and by tiles.
        conv(2, 32, 9, 7, 64, 3, 3, 2, 1),
        conv(3, 64, 5, 5, 32, 1, 1, 1, 0),
        conv(2, 64, 6, 9, 96, 1, 1, 2, 0),
        conv(1, 96, 12, 13, 32, 5, 5, 1, 2),
        conv(2, 32, 40, 6, 32, 2, 3, 1, 1),
        conv(1, 32, 3, 300, 32, 3, 2, 1, 1),
        conv(2, 128, 15, 17, 32, 3, 3, 1, 1),
        conv(1, 544, 7, 8, 32, 3, 3, 1, 1),
        conv(2, 128, 9, 7, 160, 3, 3, 1, 1),
        conv(1, 64, 30, 29, 64, 3, 3, 1, 0),
        conv(1, 160, 9, 7, 96, 3, 3, 1, 1),
        conv(2, 128, 7, 8, 64, 3, 3, 1, 1),
        conv(1, 512, 7, 7, 32, 3, 3, 1, 1),
        conv(2, 48, 9, 8, 80, 3, 3, 1, 1),
        conv(1, 16, 21, 40, 16, 3, 3, 1, 1),
        conv(2, 80, 5, 6, 16, 1, 1, 1, 0),
        // Of stride 2 with tiles, whose last rows and columns have all outputs or fewer, forward and transposed.
        conv(2, 80, 45, 45, 80, 3, 3, 2, 1),
        conv(1, 80, 46, 44, 80, 3, 3, 2, 1),
        conv(1, 96, 48, 47, 80, 3, 3, 2, 1),
        conv(1, 1, 40, 41, 17, 7, 7, 2, 0),
    };
}

std::string text(const Conv2d& c) {
    return std::to_string(c.n) + " x " + std::to_string(c.ic) + "x" + std::to_string(c.ih) + "x" +
           std::to_string(c.iw) + " -> " + std::to_string(c.oc) + ", kernel " + std::to_string(c.kh) + "x" +
           std::to_string(c.kw) + ", stride " + std::to_string(c.stride) + ", pad " + std::to_string(c.pad);
}

// Operands in plain order.
struct Operands {
    Floats x, x_dot, y_bar, w0, b0, delta, b_dot, x_bar, w_bar, b_bar, residual, residual_dot;

    template <class Fill>
    Operands(const Conv2d& c, Fill fill) {
        const size_t in = size_t(c.n) * c.ic * c.ih * c.iw, out = size_t(c.n) * c.oc * c.oh * c.ow,
                     weights = size_t(c.oc) * c.patch();
        unsigned seed = 1;
        for (auto [values, count] : {std::pair{&x, in},
                                     {&x_dot, in},
                                     {&y_bar, out},
                                     {&w0, weights},
                                     {&b0, size_t(c.oc)},
                                     {&delta, weights},
                                     {&b_dot, size_t(c.oc)},
                                     {&x_bar, in},
                                     {&w_bar, weights},
                                     {&b_bar, size_t(c.oc)},
                                     {&residual, out},
                                     {&residual_dot, out}})
            *values = fill(count, seed++);
    }
};

struct Results {
    Floats y, y_dot, y_dot_of_delta, y_dot_of_x_dot, block, block_dot, x_bar, x_bar_added, x_bar_masked, w_bar, b_bar,
        rows;
};

constexpr float kSlope = 0.25f;

// All of the family on one device; an image is also the unit in which Jacobian rows are asked for.
Results run(Device& d, const Conv2d& c, const Operands& o) {
    Results r;
    Threads& t = d.threads;
    const Floats x = d.in_layout(c.n, c.ic, c.ih, c.iw, o.x), x_dot = d.in_layout(c.n, c.ic, c.ih, c.iw, o.x_dot);
    const Floats y_bar = d.in_layout(c.n, c.oc, c.oh, c.ow, o.y_bar);
    const Floats residual = d.in_layout(c.n, c.oc, c.oh, c.ow, o.residual),
                 residual_dot = d.in_layout(c.n, c.oc, c.oh, c.ow, o.residual_dot);
    const size_t packed = d.ops.conv2d_packed_floats(c);
    Floats w0(packed, NAN), delta(packed, NAN), transposed(packed, NAN);
    d.ops.conv2d_pack(t, c, o.w0.data(), o.b0.data(), w0.data());
    d.ops.conv2d_pack(t, c, o.delta.data(), o.b_dot.data(), delta.data());
    d.ops.conv2d_pack_transposed(t, c, o.w0.data(), transposed.data());

    Floats y(residual.size(), NAN), y_dot(residual.size(), NAN);
    auto output = [&](const Floats& values) { return d.plain(c.n, c.oc, c.oh, c.ow, values); };
    d.ops.conv2d(t, c, x.data(), w0.data(), {}, y.data());
    r.y = output(y);
    d.ops.conv2d_jvp(t, c, x.data(), x_dot.data(), w0.data(), delta.data(), {}, y.data());
    r.y_dot = output(y);
    d.ops.conv2d_jvp(t, c, x.data(), nullptr, w0.data(), delta.data(), {}, y.data());
    r.y_dot_of_delta = output(y);
    d.ops.conv2d_jvp(t, c, nullptr, x_dot.data(), w0.data(), nullptr, {}, y.data());
    r.y_dot_of_x_dot = output(y);

    d.ops.conv2d_with_jvp(t, c, x.data(), x_dot.data(), w0.data(), delta.data(), {residual.data(), nullptr, kSlope},
                          residual_dot.data(), y.data(), y_dot.data());
    r.block = output(y), r.block_dot = output(y_dot);
    Floats alone(residual.size(), NAN);
    d.ops.conv2d(t, c, x.data(), w0.data(), {residual.data(), nullptr, kSlope}, alone.data());
    CHECK(same_bits(alone, y));
    d.ops.conv2d_jvp(t, c, x.data(), x_dot.data(), w0.data(), delta.data(), {residual_dot.data(), y.data(), kSlope},
                     alone.data());
    CHECK(same_bits(alone, y_dot));

    Floats x_bar(x.size(), NAN);
    auto input = [&] { return d.plain(c.n, c.ic, c.ih, c.iw, x_bar); };
    d.ops.conv2d_vjp_x(t, c, y_bar.data(), transposed.data(), {}, x_bar.data());
    r.x_bar = input();
    x_bar = d.in_layout(c.n, c.ic, c.ih, c.iw, o.x_bar);
    d.ops.conv2d_vjp_x(t, c, y_bar.data(), transposed.data(), {x_bar.data()}, x_bar.data());
    r.x_bar_added = input();
    x_bar = d.in_layout(c.n, c.ic, c.ih, c.iw, o.x_bar);
    d.ops.conv2d_vjp_x(t, c, y_bar.data(), transposed.data(), {x_bar.data(), x.data(), kSlope}, x_bar.data());
    r.x_bar_masked = input();

    r.w_bar = o.w_bar;
    r.b_bar = o.b_bar;
    d.ops.conv2d_vjp_w(t, c, x.data(), y_bar.data(), r.w_bar.data(), r.b_bar.data(), 0);
    const int64_t stride = int64_t(c.oc) * (c.patch() + 1) + 5;  // a row: weights, biases, something of another layer
    r.rows.assign(size_t(c.n * stride), 1.0f);
    d.ops.conv2d_vjp_w(t, c, x.data(), y_bar.data(), r.rows.data(), r.rows.data() + c.oc * c.patch(), stride);
    return r;
}

template <class Check>
void each_result(const Results& a, const Results& b, const Conv2d& c, Check check) {
    const double fan_in = double(c.patch()), fan_out = double(c.oc) * c.kh * c.kw, positions = double(c.oh) * c.ow;
    check("y", a.y, b.y, fan_in);
    check("y_dot", a.y_dot, b.y_dot, 2 * fan_in);
    check("y_dot of delta", a.y_dot_of_delta, b.y_dot_of_delta, fan_in);
    check("y_dot of x_dot", a.y_dot_of_x_dot, b.y_dot_of_x_dot, fan_in);
    check("block", a.block, b.block, fan_in);
    check("block_dot", a.block_dot, b.block_dot, 2 * fan_in);
    check("x_bar", a.x_bar, b.x_bar, fan_out);
    check("x_bar added", a.x_bar_added, b.x_bar_added, fan_out);
    check("x_bar masked", a.x_bar_masked, b.x_bar_masked, fan_out);
    check("w_bar", a.w_bar, b.w_bar, positions * c.n);
    check("b_bar", a.b_bar, b.b_bar, positions * c.n);
    check("rows", a.rows, b.rows, positions);
}

}  // namespace

TEST_CASE("cpu conv2d family equals the reference exactly on integers, plain and by F(2,3)") {
    Device reference(reference_ops());
    for (Conv2d c : awkward_shapes()) {
        CAPTURE(text(c));
        const Operands o(c, integers);
        const Results expected = run(reference, c, o);
        for (int winograd : {0, 2}) {
            c.winograd = winograd;
            CAPTURE(winograd);
            each_isa([&] {
                Device device(cpu_ops());
                each_result(run(device, c, o), expected, c,
                            [](const std::string& name, const Floats& a, const Floats& b, double) {
                                CAPTURE(name);
                                CHECK(same_values(a, b));
                            });
            });
        }
    }
}

TEST_CASE("cpu conv2d family is within rounding of the reference") {
    Device reference(reference_ops());
    for (Conv2d c : awkward_shapes()) {
        CAPTURE(text(c));
        const Operands o(c, normals);
        const Results expected = run(reference, c, o);
        for (int winograd : {0, 2, 4}) {
            c.winograd = winograd;
            CAPTURE(winograd);
            each_isa([&] {
                Device device(cpu_ops());
                each_result(run(device, c, o), expected, c,
                            [&](const std::string& name, const Floats& a, const Floats& b, double reduction) {
                                CAPTURE(name);
                                check_close(a, b, reduction, winograd == 4 ? 16 : 4);
                            });
            });
        }
    }
}

TEST_CASE("Winograd is used where it multiplies less and is allowed") {
    for (auto [winograd, form] : {std::pair{0, cpu::kByTaps}, {2, cpu::kF2}, {4, cpu::kF4}}) {
        Conv2d c = conv(1, 64, 56, 56, 64, 3, 3, 1, 1);
        c.winograd = winograd;
        CHECK(cpu::winograd_form(c) == form);
    }
    for (int winograd : {0, 2, 4}) {
        Conv2d c = conv(1, 64, 56, 56, 80, 3, 3, 2, 1);  // 80: the matrix unit takes it not
        c.winograd = winograd;
        CHECK(cpu::winograd_form(c) == (winograd ? cpu::kF2Stride2 : cpu::kByTaps));
        CHECK(cpu::winograd_vjp_x_form(c) == (winograd ? cpu::kF2Transposed : cpu::kByTaps));
    }
    for (const Conv2d& c : {conv(1, 64, 56, 56, 80, 3, 3, 2, 0), conv(1, 64, 56, 56, 64, 1, 1, 1, 0),
                            conv(1, 512, 1, 1, 512, 3, 3, 1, 1), conv(1, 3, 32, 32, 16, 3, 3, 1, 1)})
        CHECK(cpu::winograd_form(c) == cpu::kByTaps);
}

TEST_CASE("F(4, 3)'s weights stay taps where few tiles use many of them") {
    for (auto [most, taps] : {std::pair{0, false}, {1, true}, {4, true}, {5, false}}) {
        Conv2d c = conv(1, 112, 7, 7, 120, 3, 3, 1, 1);  // the matrix unit takes it not
        c.winograd = 4, c.most = most;
        CHECK(cpu::winograd_keeps_taps(c) == taps);
        CHECK(cpu::winograd_vjp_x_keeps_taps(c) == taps);
        c.winograd = 2;
        CHECK(!cpu::winograd_keeps_taps(c));
    }
}

TEST_CASE("cpu conv2d family gives the same bits for any number of threads") {
    each_isa([&] {
        Device one(cpu_ops(), 1), two(cpu_ops(), 2), three(cpu_ops(), 3);
        for (Conv2d c : awkward_shapes()) {
            CAPTURE(text(c));
            const Operands o(c, normals);
            for (int winograd : {0, 2, 4}) {
                c.winograd = winograd;
                CAPTURE(winograd);
                const Results expected = run(one, c, o);
                for (Device* device : {&two, &three})
                    each_result(run(*device, c, o), expected, c,
                                [](const std::string& name, const Floats& a, const Floats& b, double) {
                                    CAPTURE(name);
                                    CHECK(same_bits(a, b));
                                });
            }
        }
    });
}

// Tasks then take more images and share output channels.
TEST_CASE("cpu conv2d family with more weights than the cache holds equals the reference, for any number of threads") {
    Device reference(reference_ops());
    for (Conv2d c : {conv(3, 250, 5, 6, 250, 3, 3, 1, 1), conv(3, 250, 6, 5, 250, 3, 3, 2, 1)}) {
        CAPTURE(text(c));
        const Operands whole(c, integers), rounded(c, normals);
        const Results expected = run(reference, c, whole);
        for (int winograd : {0, 2}) {
            c.winograd = winograd;
            CAPTURE(winograd);
            each_isa([&] {
                Results of_one;
                for (int threads : {1, 2, 3}) {
                    CAPTURE(threads);
                    Device device(cpu_ops(), threads);
                    each_result(run(device, c, whole), expected, c,
                                [](const std::string& name, const Floats& a, const Floats& b, double) {
                                    CAPTURE(name);
                                    CHECK(same_values(a, b));
                                });
                    const Results result = run(device, c, rounded);
                    if (threads == 1) of_one = result;
                    each_result(result, of_one, c,
                                [](const std::string& name, const Floats& a, const Floats& b, double) {
                                    CAPTURE(name);
                                    CHECK(same_bits(a, b));
                                });
                }
            });
        }
    }
}

TEST_CASE("cpu conv2d family gives the same bits when a batch is split") {
    Conv2d whole = conv(5, 20, 9, 9, 24, 3, 3, 1, 1), plain = whole, f4 = whole;
    plain.winograd = 0, f4.winograd = 4;
    const Conv2d dense = conv(5, 40, 1, 1, 24, 1, 1, 1, 0), flattening = conv(5, 18, 3, 4, 24, 3, 4, 1, 0);
    const Conv2d strided = conv(5, 80, 45, 46, 80, 3, 3, 2, 1), stem = conv(5, 3, 20, 21, 24, 7, 7, 2, 3);
    Conv2d stem_f4 = stem;
    stem_f4.winograd = 4;
    const Conv2d image = conv(5, 3, 9, 9, 24, 5, 5, 2, 2), deep = conv(5, 250, 5, 4, 250, 3, 3, 1, 1);
    const Conv2d streamed = conv(5, 128, 7, 8, 64, 3, 3, 1, 1);  // two images of it have tiles few enough
    Conv2d plain_deep = deep, deep_f4 = deep;
    plain_deep.winograd = 0, deep_f4.winograd = 4;  // parts of it keep their weights as taps
    each_isa([&] {
        for (const Conv2d& c : {whole, plain, f4, dense, flattening, image, deep, plain_deep, deep_f4, streamed,
                                strided, stem, stem_f4}) {
            Device device(cpu_ops(), 2);
            const Operands o(c, normals);
            const Results expected = run(device, c, o);
            Results joined;
            Floats w_bar = o.w_bar, b_bar = o.b_bar;
            for (auto [first, n] : {std::pair{0, 2}, {2, 3}}) {
                Conv2d part = c;
                part.n = part.most = n;
                Operands of_part(part, normals);
                of_part = o;
                auto cut = [&, first = first, n = n](const Floats& values) {
                    const size_t image = values.size() / 5;
                    return Floats(values.begin() + image * first, values.begin() + image * (first + n));
                };
                of_part.x = cut(o.x), of_part.x_dot = cut(o.x_dot), of_part.y_bar = cut(o.y_bar),
                of_part.x_bar = cut(o.x_bar), of_part.residual = cut(o.residual),
                of_part.residual_dot = cut(o.residual_dot);
                of_part.w_bar = w_bar, of_part.b_bar = b_bar;
                const Results r = run(device, part, of_part);
                w_bar = r.w_bar, b_bar = r.b_bar;
                for (auto field : {&Results::y, &Results::y_dot, &Results::y_dot_of_delta, &Results::y_dot_of_x_dot,
                                   &Results::block, &Results::block_dot, &Results::x_bar, &Results::x_bar_added,
                                   &Results::x_bar_masked, &Results::rows})
                    (joined.*field).insert((joined.*field).end(), (r.*field).begin(), (r.*field).end());
            }
            joined.w_bar = w_bar, joined.b_bar = b_bar;
            each_result(joined, expected, c, [](const std::string& name, const Floats& a, const Floats& b, double) {
                CAPTURE(name);
                CHECK(same_bits(a, b));
            });
        }
    });
}

}  // namespace lqf::testing
