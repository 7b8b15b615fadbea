// batch_norm: y = gamma x_hat + beta, x_hat = (x - mean) / sqrt(variance + epsilon); mean and variance over the batch.
#include <cmath>

#include "reference/reference.h"

namespace lqf::reference {
namespace {

// visit(index) for every value of a channel, image by image.
template <typename Visit>
void each_value(const BatchNorm& b, int64_t channel, Visit visit) {
    const int64_t plane = int64_t(b.h) * b.w;
    for (int64_t image = 0; image < b.n; image++)
        for (int64_t pixel = 0; pixel < plane; pixel++) visit((image * b.c + channel) * plane + pixel);
}

}  // namespace

void batch_norm(Threads& threads, const BatchNorm& b, const float* x, const float* gamma, const float* beta,
                float* mean, float* variance, float* y) {
    const double count = double(b.count());
    threads.each(b.c, [&](int64_t k, int) {
        double sum = 0, squares = 0;
        each_value(b, k, [&](int64_t i) { sum += x[i]; });
        const double centre = sum / count;
        each_value(b, k, [&](int64_t i) { squares += (x[i] - centre) * (x[i] - centre); });
        const double scale = 1 / std::sqrt(squares / count + b.epsilon);
        each_value(b, k, [&](int64_t i) { y[i] = float(gamma[k] * ((x[i] - centre) * scale) + beta[k]); });
        mean[k] = float(centre);
        variance[k] = float(squares / count);
    });
}

void batch_norm_vjp(Threads& threads, const BatchNorm& b, const float* x, const float* gamma, const float* mean,
                    const float* variance, const float* y_bar, float* gamma_bar, float* beta_bar, float* x_bar,
                    bool accumulate) {
    const double count = double(b.count());
    threads.each(b.c, [&](int64_t k, int) {
        const double scale = 1 / std::sqrt(variance[k] + b.epsilon);
        auto x_hat = [&](int64_t i) { return (double(x[i]) - mean[k]) * scale; };
        double sum = 0, product = 0;
        each_value(b, k, [&](int64_t i) {
            sum += y_bar[i];
            product += y_bar[i] * x_hat(i);
        });
        if (x_bar)
            each_value(b, k, [&](int64_t i) {
                put(x_bar[i], gamma[k] * scale * (y_bar[i] - sum / count - x_hat(i) * product / count), accumulate);
            });
        gamma_bar[k] = float(product);
        beta_bar[k] = float(sum);
    });
}

}  // namespace lqf::reference
