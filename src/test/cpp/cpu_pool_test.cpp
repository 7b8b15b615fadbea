#include "cpu_testing.h"

namespace lqf::testing {
namespace {

Pool2d pool(int n, int c, int ih, int iw, int kh, int kw, int stride, int pad) {
    return {n, c, ih, iw, (ih + 2 * pad - kh) / stride + 1, (iw + 2 * pad - kw) / stride + 1, kh, kw, stride, pad};
}

const Pool2d kPools[] = {pool(1, 1, 1, 1, 1, 1, 1, 0),  pool(2, 16, 8, 8, 2, 2, 2, 0), pool(3, 17, 7, 5, 3, 3, 2, 1),
                         pool(1, 33, 9, 9, 3, 3, 1, 1), pool(2, 13, 8, 8, 8, 8, 1, 0), pool(2, 7, 4, 6, 5, 3, 1, 1),
                         pool(1, 64, 6, 7, 2, 3, 3, 1)};

const Subsample kSubsamples[] = {{2, 16, 8, 8, 32, 4, 4, 2, 8},
                                 {1, 3, 5, 7, 9, 3, 4, 2, 3},
                                 {3, 20, 4, 4, 40, 4, 4, 1, 10},
                                 {1, 17, 9, 9, 17, 3, 3, 3, 0}};

struct Results {
    Floats max, max_dot, max_bar, max_bar_added, average, average_bar, average_bar_added;
    std::vector<int32_t> argmax;
};

Results run(Device& d, const Pool2d& p, const Floats& x, const Floats& y_bar, const Floats& x_bar) {
    Results r;
    Threads& t = d.threads;
    const Floats in = d.in_layout(p.n, p.c, p.ih, p.iw, x), out_bar = d.in_layout(p.n, p.c, p.oh, p.ow, y_bar);
    const Floats other = d.in_layout(p.n, p.c, p.ih, p.iw, x_bar);
    Floats out(out_bar.size(), NAN), back(in.size(), NAN);
    std::vector<int32_t> argmax(out.size());
    auto output = [&] { return d.plain(p.n, p.c, p.oh, p.ow, out); };
    auto input = [&] { return d.plain(p.n, p.c, p.ih, p.iw, back); };
    d.ops.max_pool(t, p, in.data(), out.data(), argmax.data());
    r.max = output();
    for (int i = 0; i < p.n; ++i)  // argmax of real channels in plain order
        for (int c = 0; c < p.c; ++c)
            for (int k = 0; k < p.oh * p.ow; ++k) {
                const int b = d.ops.channel_block, blocks = (p.c + b - 1) / b;
                r.argmax.push_back(argmax[size_t(((i * blocks + c / b) * p.oh * p.ow + k) * b + c % b)]);
            }
    d.ops.max_pool_jvp(t, p, other.data(), argmax.data(), out.data());
    r.max_dot = output();
    d.ops.max_pool_vjp(t, p, out_bar.data(), argmax.data(), back.data(), false);
    r.max_bar = input();
    back = other;
    d.ops.max_pool_vjp(t, p, out_bar.data(), argmax.data(), back.data(), true);
    r.max_bar_added = input();
    d.ops.avg_pool(t, p, in.data(), out.data());
    r.average = output();
    d.ops.avg_pool_vjp(t, p, out_bar.data(), back.data(), false);
    r.average_bar = input();
    back = other;
    d.ops.avg_pool_vjp(t, p, out_bar.data(), back.data(), true);
    r.average_bar_added = input();
    return r;
}

}  // namespace

TEST_CASE("cpu pools agree with the reference") {
    Device reference(reference_ops());
    for (const Pool2d& p : kPools) {
        const size_t in = size_t(p.n) * p.c * p.ih * p.iw, out = size_t(p.n) * p.c * p.oh * p.ow;
        for (auto fill : {integers, normals}) {  // integers have ties: the first one wins
            const Floats x = fill(in, 1), y_bar = fill(out, 2), x_bar = fill(in, 3);
            const Results expected = run(reference, p, x, y_bar, x_bar);
            Floats first_bits;
            for (int threads : {1, 2, 3}) {
                Device device(cpu_ops(), threads);
                const Results r = run(device, p, x, y_bar, x_bar);
                CHECK(r.argmax == expected.argmax);
                CHECK(same_values(r.max, expected.max));
                CHECK(same_values(r.max_dot, expected.max_dot));
                const double window = double(p.kh) * p.kw;
                check_close(r.max_bar, expected.max_bar, window);
                check_close(r.max_bar_added, expected.max_bar_added, window);
                check_close(r.average, expected.average, window);
                check_close(r.average_bar, expected.average_bar, window);
                check_close(r.average_bar_added, expected.average_bar_added, window);
                if (threads == 1) first_bits = r.average_bar_added;
                CHECK(same_bits(r.average_bar_added, first_bits));
            }
        }
    }
}

TEST_CASE("cpu subsample equals the reference exactly") {
    Device reference(reference_ops()), device(cpu_ops(), 2);
    for (const Subsample& s : kSubsamples) {
        const Floats x = normals(size_t(s.n) * s.c * s.ih * s.iw, 1),
                     y_bar = normals(size_t(s.n) * s.oc * s.oh * s.ow, 2);
        std::vector<Floats> results[2];
        for (Device* d : {&reference, &device}) {
            auto& r = results[d == &device];
            const Floats in = d->in_layout(s.n, s.c, s.ih, s.iw, x),
                         out_bar = d->in_layout(s.n, s.oc, s.oh, s.ow, y_bar);
            Floats out(out_bar.size(), NAN), back(in.size(), NAN);
            d->ops.subsample(d->threads, s, in.data(), out.data());
            r.push_back(d->plain(s.n, s.oc, s.oh, s.ow, out));
            d->ops.subsample_vjp(d->threads, s, out_bar.data(), back.data(), false);
            r.push_back(d->plain(s.n, s.c, s.ih, s.iw, back));
            back = in;
            d->ops.subsample_vjp(d->threads, s, out_bar.data(), back.data(), true);
            r.push_back(d->plain(s.n, s.c, s.ih, s.iw, back));
        }
        for (size_t k = 0; k < results[0].size(); ++k) CHECK(same_values(results[0][k], results[1][k]));
    }
}

}  // namespace lqf::testing
