#include "cpu_testing.h"

namespace lqf::testing {
namespace {

const BatchNorm kNorms[] = {{2, 1, 1, 1, 1e-5},  {3, 16, 8, 8, 1e-5}, {2, 17, 7, 5, 1e-3}, {5, 33, 3, 1, 1e-5},
                            {64, 7, 1, 1, 1e-5}, {1, 64, 6, 7, 0.5},  {4, 100, 2, 2, 1e-5}};

struct Results {
    Floats y, mean, variance, gamma_bar, beta_bar, x_bar, x_bar_added;
};

Results run(Device& d, const BatchNorm& b, const Floats& x, const Floats& gamma, const Floats& beta,
            const Floats& y_bar, const Floats& x_bar) {
    const Floats in = d.in_layout(b.n, b.c, b.h, b.w, x), bar = d.in_layout(b.n, b.c, b.h, b.w, y_bar);
    const Floats other = d.in_layout(b.n, b.c, b.h, b.w, x_bar);
    Floats out(in.size(), NAN);
    Results r;
    for (Floats* values : {&r.mean, &r.variance, &r.gamma_bar, &r.beta_bar}) values->assign(size_t(b.c), NAN);
    auto plain = [&] { return d.plain(b.n, b.c, b.h, b.w, out); };
    auto vjp = [&](float* target, bool accumulate) {
        d.ops.batch_norm_vjp(d.threads, b, in.data(), gamma.data(), r.mean.data(), r.variance.data(), bar.data(),
                             r.gamma_bar.data(), r.beta_bar.data(), target, accumulate);
    };
    d.ops.batch_norm(d.threads, b, in.data(), gamma.data(), beta.data(), r.mean.data(), r.variance.data(), out.data());
    r.y = plain();
    vjp(out.data(), false);
    r.x_bar = plain();
    out = other;
    vjp(out.data(), true);
    r.x_bar_added = plain();
    const Floats gamma_bar = r.gamma_bar;
    vjp(nullptr, false);  // the image's cotangent, which nobody wants
    CHECK(same_bits(gamma_bar, r.gamma_bar));
    return r;
}

}  // namespace

TEST_CASE("cpu batch norm agrees with the reference, whatever the threads") {
    Device reference(reference_ops());
    for (const BatchNorm& b : kNorms) {
        CAPTURE(b.c);
        const size_t values = size_t(b.count()) * size_t(b.c);
        Floats x = normals(values, 1);
        for (float& v : x) v = 2 * v + 5;  // a mean that is not 0
        const Floats gamma = normals(size_t(b.c), 2), beta = normals(size_t(b.c), 3);
        const Floats y_bar = normals(values, 4), x_bar = normals(values, 5);
        const Results expected = run(reference, b, x, gamma, beta, y_bar, x_bar);
        each_isa([&] {
            Results first;
            for (int threads : {1, 2, 3}) {
                Device device(cpu_ops(), threads);
                const Results r = run(device, b, x, gamma, beta, y_bar, x_bar);
                // x has five times the rounding error of what is left of it when its mean is taken away
                const double few = 10;
                check_close(r.mean, expected.mean, 1);
                check_close(r.variance, expected.variance, 1);
                check_close(r.y, expected.y, few);
                check_close(r.beta_bar, expected.beta_bar, 1);
                if (b.count() > 2) {  // with two values all of x_hat is +-1 and x_bar nothing but rounding
                    check_close(r.gamma_bar, expected.gamma_bar, few);
                    check_close(r.x_bar, expected.x_bar, few);
                    check_close(r.x_bar_added, expected.x_bar_added, few);
                }
                if (threads == 1) first = r;
                CHECK(same_bits(r.y, first.y));
                CHECK(same_bits(r.x_bar, first.x_bar));
                CHECK(same_bits(r.gamma_bar, first.gamma_bar));
                CHECK(same_bits(r.variance, first.variance));
            }
        });
    }
}

TEST_CASE("cpu batch norm of a channel that does not vary is beta") {
    const BatchNorm b{3, 17, 2, 2, 1e-5};
    Device device(cpu_ops(), 2);
    const Floats x(size_t(b.count()) * 17, 3.0f), gamma = normals(17, 1), beta = normals(17, 2);
    const Floats bar(x.size(), 1.0f);
    const Results r = run(device, b, x, gamma, beta, bar, bar);
    CHECK(r.mean == Floats(17, 3.0f));
    CHECK(r.variance == Floats(17, 0.0f));
    for (size_t i = 0; i < r.y.size(); ++i) CHECK(r.y[i] == beta[i / 4 % 17]);
    CHECK(r.beta_bar == Floats(17, 12.0f));
}

}  // namespace lqf::testing
